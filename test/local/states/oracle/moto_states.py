"""moto's Step Functions (a descendant of LocalStack's engine) as an oracle for ours.

Usage: python moto_states.py PORT HELPER_URL TIME_SCALE

Serves the Step Functions API of moto 5.2.1 on PORT, with what that version leaves open filled in. Each patch says what it
mends; none of them changes how a state machine is interpreted. HELPER_URL is the test's own process: it evaluates
JSONata with the reference implementation and plays the Lambda functions.
"""

import copy
import functools
import json
import logging
import os
import sys
import time
import urllib.request

PORT, HELPER, TIME_SCALE = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])

os.environ["MOTO_PORT"] = str(PORT)  # the engine's own clients call back here
os.environ["AWS_ACCESS_KEY_ID"] = os.environ["AWS_SECRET_ACCESS_KEY"] = "test"
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

import moto  # noqa: E402

if moto.__version__ != "5.2.1":
    sys.exit(f"the patches below are for moto 5.2.1, this is {moto.__version__}")

import botocore.session  # noqa: E402
from botocore import xform_name  # noqa: E402
from botocore.exceptions import ClientError  # noqa: E402
from moto.core.config import default_user_config  # noqa: E402
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl  # noqa: E402
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils  # noqa: E402
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service  # noqa: E402
from moto.stepfunctions.parser.asl.component.state.wait.wait_function import wait_function  # noqa: E402
from moto.stepfunctions.parser.asl.eval import states as eval_states  # noqa: E402
from moto.stepfunctions.parser.asl.eval import variable_store  # noqa: E402
from moto.stepfunctions.parser.asl.jsonata import jsonata  # noqa: E402
from moto.stepfunctions.models import StateMachine  # noqa: E402

default_user_config["stepfunctions"] = {"execute_state_machine": True}


def ask(path, question):
    request = urllib.request.Request(
        HELPER + path,
        json.dumps(question, default=str).encode(),
        {"content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=900) as answer:
        return json.loads(answer.read())


# getmoto/moto#10077: the second StartExecution copies live executions, and locks cannot be copied.
def copy_machine(machine, _memo):
    twin = copy.copy(machine)
    twin.executions = []
    return twin


StateMachine.__deepcopy__ = copy_machine


# getmoto/moto#10105: nobody evaluates JSONata.
def evaluate(expression):
    answer = ask("/jsonata", {"expression": expression})
    if "error" in answer:
        raise jsonata.JSONataException("UNKNOWN", answer["error"])
    return answer.get("value")


jsonata._eval_jsonata = evaluate


# Values are pasted into the expression between quotes, unescaped: a value with a quote in it is no JSONata any more.
def declare(bindings):
    return "".join(f"{name}:={json.dumps(value, default=str)};" for name, value in bindings.items())


eval_states.encode_jsonata_variable_declarations = declare
variable_store.encode_jsonata_variable_declarations = declare


# Waits and pauses before retries run in real time.
def wait_scaled(_self, env, wait_seconds):
    until = time.monotonic() + wait_seconds * TIME_SCALE
    while env.is_running() and (left := until - time.monotonic()) > 0:
        env.program_state_event.wait(left)


wait_function.WaitFunction._wait_interval = wait_scaled


class ScaledTime:
    sleep = staticmethod(lambda seconds: time.sleep(seconds * TIME_SCALE))


retrier_decl.time = ScaledTime


# A Lambda function needs Docker or only echoes: ours are in the test.
def invoke(parameters, region, state_credentials):
    payload = parameters.get("Payload") or b"{}"
    answer = ask("/invoke", {"name": parameters["FunctionName"], "payload": json.loads(payload)})
    if "refused" in answer:
        refused = answer["refused"]
        raise ClientError(
            {
                "Error": {"Code": refused["name"], "Message": refused["message"]},
                "ResponseMetadata": {"HTTPStatusCode": 400, "RequestId": "oracle"},
            },
            "Invoke",
        )
    response = {"ExecutedVersion": "$LATEST", "Payload": answer["payload"], "StatusCode": 200}
    if "functionError" in answer:
        response["FunctionError"] = answer["functionError"]
    return response


lambda_eval_utils._invoke_lambda_function = invoke

# The names of parameters and results of service integrations are not mapped (startExecution fails on 'StateMachineArn').
SESSION = botocore.session.get_session()
SERVICE = state_task_service.StateTaskService


@functools.lru_cache(None)
def operation(service, action):
    model = SESSION.get_service_model(service)
    return next((model.operation_model(name) for name in model.operation_names if xform_name(name) == action), None)


def normalise_parameters(self, parameters, boto_service_name=None, service_action_name=None):
    if self._get_boto_service_name(boto_service_name) == "lambda":
        return
    found = operation(
        self._get_boto_service_name(boto_service_name), self._get_boto_service_action(service_action_name)
    )
    if found is not None and found.input_shape:
        self._to_boto_request(parameters, found.input_shape)


def dates_to_numbers(value):
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in list(pairs):
        if hasattr(item, "timestamp"):
            value[key] = round(item.timestamp() * 1000)
        else:
            dates_to_numbers(item)


def normalise_response(self, response, boto_service_name=None, service_action_name=None):
    found = operation(
        self._get_boto_service_name(boto_service_name), self._get_boto_service_action(service_action_name)
    )
    if found is not None and found.output_shape and found.service_model.service_name != "lambda":
        self._from_boto_response(response, found.output_shape)
    dates_to_numbers(response)


SERVICE._normalise_parameters = normalise_parameters
SERVICE._normalise_response = normalise_response

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app  # noqa: E402
from werkzeug.serving import run_simple  # noqa: E402

logging.getLogger("werkzeug").setLevel(logging.ERROR)
run_simple("127.0.0.1", PORT, DomainDispatcherApplication(create_backend_app), threaded=True)
