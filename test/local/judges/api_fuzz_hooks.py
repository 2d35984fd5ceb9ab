"""What schemathesis needs to know of this API: how requests are signed, and which builds and images there are.

FUZZ_KNOWN is JSON: {"id": [...], "imageId": [...], "name": [...]}."""
import json
import os
import random

import requests.auth
import schemathesis
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

KNOWN = json.loads(os.environ["FUZZ_KNOWN"])
KEYS = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
CHOICE = random.Random(5)


class Signed(requests.auth.AuthBase):
    """Signature Version 4 for execute-api, by botocore."""

    def __call__(self, request):
        # What no client would sign, since proxies change it.
        unsigned = {"connection", "accept-encoding", "content-length", "transfer-encoding"}
        headers = {name: value for name, value in request.headers.items() if name.lower() not in unsigned}
        body = request.body if request.body is not None else b""
        signed = AWSRequest(method=request.method, url=request.url, data=body, headers=headers)
        SigV4Auth(KEYS, "execute-api", os.environ["AWS_DEFAULT_REGION"]).add_auth(signed)
        for name in ("Authorization", "X-Amz-Date"):
            request.headers[name] = signed.headers[name]
        return request


schemathesis.auth.set_from_requests(Signed())


@schemathesis.hook
def map_path_parameters(ctx, path_parameters):
    """Two of three cases are about something that is there."""
    for name, values in KNOWN.items():
        if path_parameters and name in path_parameters and values and CHOICE.random() < 2 / 3:
            path_parameters[name] = CHOICE.choice(values)
    return path_parameters
