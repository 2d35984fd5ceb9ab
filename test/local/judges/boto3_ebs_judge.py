"""A client of the EBS direct APIs that is not ours: boto3 writes a snapshot, reads it back and meets what is refused.

Endpoint, region and keys by environment. Prints one line per check; exits 1 at the first wrong answer.
"""
import base64
import hashlib
import os
import sys

import boto3
import botocore.config
from botocore.exceptions import ClientError

BLOCK = 524288
config = botocore.config.Config(retries={"max_attempts": 1}, user_agent_extra="judge")
ebs = boto3.client("ebs", config=config)
ec2 = boto3.client("ec2", config=config)
called = set()
ebs.meta.events.register("before-call.ebs.*", lambda model, **_: called.add(model.name))


def check(what, condition, seen=None):
    if not condition:
        print(f"FAILED {what}: {seen!r}")
        sys.exit(1)
    print(f"ok {what}")


def refused(what, kind, reason, call, **arguments):
    try:
        answer = call(**arguments)
    except kind as error:
        check(f"{what} is refused with {reason}", error.response.get("Reason") == reason, error.response)
        return
    check(f"{what} is refused with {reason}", False, answer)


def digest(data):
    return hashlib.sha256(data).digest()


def text(raw):
    return base64.b64encode(raw).decode()


def put(snapshot, index, data, **change):
    arguments = {"SnapshotId": snapshot, "BlockIndex": index, "BlockData": data, "DataLength": BLOCK,
                 "Checksum": text(digest(data)), "ChecksumAlgorithm": "SHA256", **change}
    return ebs.put_snapshot_block(**arguments)


def complete(snapshot, blocks):
    linear = digest(b"".join(digest(data) for data in blocks))
    return ebs.complete_snapshot(SnapshotId=snapshot, ChangedBlocksCount=len(blocks), Checksum=text(linear),
                                 ChecksumAlgorithm="SHA256", ChecksumAggregationMethod="LINEAR")


def done(snapshot):
    ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot], WaiterConfig={"Delay": 0.05, "MaxAttempts": 400})


errors = ebs.exceptions
started = ebs.start_snapshot(VolumeSize=1, Description="judge", ClientToken="judge-1", Timeout=15,
                             Tags=[{"Key": "judge", "Value": "boto3"}])
first = started["SnapshotId"]
check("start", started["Status"] == "pending" and started["BlockSize"] == BLOCK and started["VolumeSize"] == 1
      and started["Tags"] == [{"Key": "judge", "Value": "boto3"}] and started["StartTime"].year > 2020, started)
check("EC2 finds it by its tag", [one["SnapshotId"] for one in ec2.describe_snapshots(
    Filters=[{"Name": "tag:judge", "Values": ["boto3"]}, {"Name": "status", "Values": ["pending"]}])["Snapshots"]] == [first])
one, two = os.urandom(BLOCK), bytes(BLOCK)
check("put", put(first, 0, one)["Checksum"] == text(digest(one)))
put(first, 5, two, Progress=50)
refused("a wrong checksum", errors.ValidationException, "INVALID_BLOCK", put, snapshot=first, index=1, data=one,
        Checksum=text(digest(two)))
refused("a short block", errors.ValidationException, "INVALID_BLOCK", put, snapshot=first, index=1, data=one[1:])
refused("a block behind the end", errors.ValidationException, "INVALID_BLOCK", put, snapshot=first, index=2048, data=one)
refused("an unknown snapshot", errors.ResourceNotFoundException, "SNAPSHOT_NOT_FOUND", put,
        snapshot="snap-0123456789abcdef0", index=0, data=one)
refused("a wrong aggregate", errors.ValidationException, "INVALID_PARAMETER_VALUE", complete, snapshot=first, blocks=[two, one])
check("complete", complete(first, [one, two])["Status"] in ("pending", "completed"))
done(first)

page = ebs.list_snapshot_blocks(SnapshotId=first)
check("list", [block["BlockIndex"] for block in page["Blocks"]] == [0, 5] and page["ExpiryTime"].year > 2020, page)
read = ebs.get_snapshot_block(SnapshotId=first, BlockIndex=0, BlockToken=page["Blocks"][0]["BlockToken"])
check("get", read["BlockData"].read() == one and read["Checksum"] == text(digest(one)) and read["DataLength"] == BLOCK)

child = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=first)["SnapshotId"]
put(child, 5, one)
complete(child, [one])
done(child)
changed = ebs.list_changed_blocks(FirstSnapshotId=first, SecondSnapshotId=child)["ChangedBlocks"]
check("changed", [block["BlockIndex"] for block in changed] == [5] and "FirstBlockToken" in changed[0], changed)
check("paginator", [block["BlockIndex"] for page in ebs.get_paginator("list_snapshot_blocks").paginate(SnapshotId=child)
                    for block in page["Blocks"]] == [0, 5] if ebs.can_paginate("list_snapshot_blocks") else True)

locked = ebs.start_snapshot(VolumeSize=1, Encrypted=True)
check("encrypted with the account's key", ":key/" in locked["KmsKeyArn"], locked)
refused("an alias", errors.ValidationException, "INVALID_CUSTOMER_KEY", ebs.start_snapshot, VolumeSize=1, Encrypted=True,
        KmsKeyArn="arn:aws:kms:us-east-1:000000000000:alias/mine")
try:
    ebs.start_snapshot(VolumeSize=2, ClientToken="judge-1")
    check("a token with other parameters is refused", False)
except errors.ConflictException as error:
    check("a token with other parameters is refused", error.response["ResponseMetadata"]["HTTPStatusCode"] == 409)
check("every action was called", called == set(ebs.meta.service_model.operation_names), called)
