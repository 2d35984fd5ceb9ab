"""A client of EC2 that is not ours: drives every emulated EC2 action through boto3 and its waiters.

Usage: boto3_judge.py ACTIONS_JSON     (endpoint, region and keys by environment)
ACTIONS_JSON is the list of actions that the local cloud says it emulates: one that is never called here is a failure.
Prints one line per check; exits 1 at the first wrong answer.
"""
import base64
import datetime
import json
import sys
import time

import boto3
import botocore.config
from botocore.exceptions import ClientError

called = set()
config = botocore.config.Config(retries={"max_attempts": 1}, user_agent_extra="judge")
ec2 = boto3.client("ec2", config=config)
ssm = boto3.client("ssm", config=config)
ec2.meta.events.register("before-call.ec2.*", lambda model, **_: called.add(model.name))
FAST = {"Delay": 0.05, "MaxAttempts": 400}


def check(what, condition, seen=None):
    if not condition:
        print(f"FAILED {what}: {seen!r}")
        sys.exit(1)
    print(f"ok {what}")


def refused(what, code, call, **arguments):
    try:
        answer = call(**arguments)
    except ClientError as error:
        check(f"{what} is refused with {code}", error.response["Error"]["Code"] == code, error.response["Error"])
        return
    check(f"{what} is refused with {code}", False, answer)


def wait(name, **arguments):
    ec2.get_waiter(name).wait(WaiterConfig=FAST, **arguments)
    print(f"ok waiter {name}")


def tags(kind, name):
    return [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}, {"Key": "judge", "Value": "boto3"}]}]


# --- network ---
zones = ec2.describe_availability_zones()["AvailabilityZones"]
check("three zones", len(zones) == 3 and all(z["State"] == "available" for z in zones), zones)
zone = zones[0]["ZoneName"]
regions = {r["RegionName"]: r["OptInStatus"] for r in ec2.describe_regions()["Regions"]}
check("regions that every account has", len(regions) == 17 and set(regions.values()) == {"opt-in-not-required"} and ec2.meta.region_name in regions, regions)
check("regions to opt in to", "not-opted-in" in {r["OptInStatus"] for r in ec2.describe_regions(AllRegions=True)["Regions"]})
vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]
wait("vpc_available", VpcIds=[vpc["VpcId"]])
subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
check("a subnet per zone", sorted(s["AvailabilityZone"] for s in subnets) == sorted(z["ZoneName"] for z in zones))
subnet = next(s for s in subnets if s["AvailabilityZone"] == zone)
group = ec2.create_security_group(GroupName="judge", Description="judge", VpcId=vpc["VpcId"], TagSpecifications=tags("security-group", "g"))["GroupId"]
ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}])
refused("the same rule again", "InvalidPermission.Duplicate", ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.0.0.0/8"}]}])
wait("security_group_exists", GroupIds=[group])
described = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
check("ingress rule", described["IpPermissions"][0]["IpRanges"] == [{"CidrIp": "10.0.0.0/8"}], described)
pair = ec2.create_key_pair(KeyName="judge")
check("key material", pair["KeyMaterial"].startswith("-----BEGIN RSA PRIVATE KEY-----"))
wait("key_pair_exists", KeyNames=["judge"])
check("key pairs", ec2.describe_key_pairs(KeyNames=["judge"])["KeyPairs"][0]["KeyFingerprint"] == pair["KeyFingerprint"])
types = ec2.describe_instance_types(InstanceTypes=["m7g.large"])["InstanceTypes"]
check("instance type", types[0]["ProcessorInfo"]["SupportedArchitectures"] == ["arm64"] and types[0]["Hypervisor"] == "nitro", types)
offers = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["m6i.large"]}])["InstanceTypeOfferings"]
check("offerings", len(offers) == 3, offers)
check("encryption by default", ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False)
check("encryption by default, on", ec2.enable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True)
check("encryption by default, off", ec2.disable_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False)
kms = boto3.client("kms", config=config)
key = kms.create_key(Description="judge")["KeyMetadata"]["Arn"]
kms.create_alias(AliasName="alias/judge", TargetKeyId=key)
check("key by alias", kms.describe_key(KeyId="alias/judge")["KeyMetadata"]["Arn"] == key)
aliases = {a["AliasName"]: a["TargetKeyId"] for a in kms.list_aliases()["Aliases"]}
check("the key of EBS", ec2.get_ebs_default_kms_key_id()["KmsKeyId"].endswith(aliases["alias/aws/ebs"]), aliases)

# --- worker image ---
image_id = ssm.get_parameter(Name="/aws/service/freebsd/amd64/small/ufs/15.1/RELEASE")["Parameter"]["Value"]
image = ec2.describe_images(ImageIds=[image_id])["Images"][0]
check("worker image", image["Architecture"] == "x86_64" and image["Public"] and image["OwnerId"] != "000000000000", image)

# --- instance ---
user_data = "#!/bin/sh\necho judge=boto3\nwhile :; do sleep 1; done\n"
launch = dict(
    ImageId=image_id, InstanceType="m6i.large", MinCount=1, MaxCount=1, SubnetId=subnet["SubnetId"], SecurityGroupIds=[group], KeyName="judge",
    UserData=user_data, ClientToken="judge-1", MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
    TagSpecifications=tags("instance", "worker") + tags("volume", "root"),
)
first = ec2.run_instances(**launch)["Instances"][0]
check("pending at first", first["State"] == {"Code": 0, "Name": "pending"}, first["State"])
again = ec2.run_instances(**launch)["Instances"][0]
check("client token gives the same instance", again["InstanceId"] == first["InstanceId"])
refused("the token with other parameters", "IdempotentParameterMismatch", ec2.run_instances, **{**launch, "InstanceType": "m5.large"})
instance = first["InstanceId"]
wait("instance_exists", InstanceIds=[instance])
wait("instance_running", InstanceIds=[instance])
wait("instance_status_ok", InstanceIds=[instance])
wait("system_status_ok", InstanceIds=[instance])
pages = list(ec2.get_paginator("describe_instances").paginate(Filters=[{"Name": "tag:judge", "Values": ["boto*"]}], PaginationConfig={"PageSize": 5}))
running = pages[0]["Reservations"][0]["Instances"][0]
check("instance attributes", running["MetadataOptions"]["HttpTokens"] == "required" and running["Placement"]["AvailabilityZone"] == zone and running["KeyName"] == "judge", running)
root = running["BlockDeviceMappings"][0]
check("root device", root["DeviceName"] == running["RootDeviceName"] == "/dev/sda1" and root["Ebs"]["DeleteOnTermination"], root)
for _ in range(100):
    output = ec2.get_console_output(InstanceId=instance, Latest=True).get("Output", "")
    if "judge=boto3" in output:
        break
    time.sleep(0.05)
check("console", "judge=boto3\r\n" in output, output)
refused("a screenshot", "UnsupportedOperation", ec2.get_console_screenshot, InstanceId=instance)
check("user data", base64.b64decode(ec2.describe_instance_attribute(InstanceId=instance, Attribute="userData")["UserData"]["Value"]).decode() == user_data)
ec2.modify_instance_attribute(InstanceId=instance, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
behaviour = ec2.describe_instance_attribute(InstanceId=instance, Attribute="instanceInitiatedShutdownBehavior")
check("shutdown behaviour", behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate", behaviour)
ec2.modify_instance_attribute(InstanceId=instance, BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"DeleteOnTermination": False}}])
check("delete on termination", ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is False)
root_volume = root["Ebs"]["VolumeId"]

# --- volumes ---
make = dict(AvailabilityZone=zone, Size=1, VolumeType="gp3", ClientToken="judge-v", TagSpecifications=tags("volume", "target"))
created = ec2.create_volume(**make)
volume = created["VolumeId"]
check("creating at first", created["State"] == "creating" and created["Iops"] == 3000 and created["Throughput"] == 125, created)
check("client token gives the same volume", ec2.create_volume(**make)["VolumeId"] == volume)
refused("the token with another size", "IdempotentParameterMismatch", ec2.create_volume, **{**make, "Size": 2})
refused("attach while creating or to a wrong device", "InvalidParameterValue", ec2.attach_volume, VolumeId=volume, InstanceId=instance, Device="/dev/hda")
wait("volume_available", VolumeIds=[volume])
other_zone = ec2.create_volume(AvailabilityZone=zones[1]["ZoneName"], Size=1)["VolumeId"]
wait("volume_available", VolumeIds=[other_zone])
refused("attach across zones", "InvalidVolume.ZoneMismatch", ec2.attach_volume, VolumeId=other_zone, InstanceId=instance, Device="/dev/sdg")
attachment = ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
check("attaching", attachment["State"] == "attaching", attachment)
wait("volume_in_use", VolumeIds=[volume])
refused("attach twice", "VolumeInUse", ec2.attach_volume, VolumeId=volume, InstanceId=instance, Device="/dev/sdg")
refused("delete while attached", "VolumeInUse", ec2.delete_volume, VolumeId=volume)
refused("detach the root of a running instance", "OperationNotPermitted", ec2.detach_volume, VolumeId=root_volume)
ec2.delete_volume(VolumeId=other_zone)
wait("volume_deleted", VolumeIds=[other_zone])
refused("the deleted volume", "InvalidVolume.NotFound", ec2.describe_volumes, VolumeIds=[other_zone])
found = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [instance]}, {"Name": "attachment.device", "Values": ["/dev/sdf"]}])["Volumes"]
check("volume by attachment", [v["VolumeId"] for v in found] == [volume], found)
ec2.detach_volume(VolumeId=volume)
wait("volume_available", VolumeIds=[volume])

# --- tags ---
ec2.create_tags(Resources=[volume, instance], Tags=[{"Key": "stage", "Value": "one"}])
seen = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["stage"]}])["Tags"]
check("tags", sorted(t["ResourceType"] for t in seen) == ["instance", "volume"], seen)
ec2.delete_tags(Resources=[instance], Tags=[{"Key": "stage"}])
check("tag gone", [t["ResourceId"] for t in ec2.describe_tags(Filters=[{"Name": "key", "Values": ["stage"]}])["Tags"]] == [volume])

# --- snapshot ---
snapshot = ec2.create_snapshot(VolumeId=volume, Description="judge", TagSpecifications=tags("snapshot", "s"))
check("pending snapshot", snapshot["State"] == "pending" and snapshot["VolumeSize"] == 1, snapshot)
snapshot = snapshot["SnapshotId"]
wait("snapshot_completed", SnapshotIds=[snapshot])
mine = ec2.describe_snapshots(OwnerIds=["self"], Filters=[{"Name": "tag:judge", "Values": ["boto3"]}])["Snapshots"]
check("snapshots of mine", [s["SnapshotId"] for s in mine] == [snapshot] and mine[0]["Progress"] == "100%", mine)

# --- image ---
wanted = dict(
    Name="judge image [1]", Description="d", Architecture="arm64", VirtualizationType="hvm", BootMode="uefi", EnaSupport=True, SriovNetSupport="simple",
    ImdsSupport="v2.0", TpmSupport="v2.0", RootDeviceName="/dev/sda1", TagSpecifications=tags("image", "i"),
    BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot, "VolumeSize": 3, "VolumeType": "gp3", "DeleteOnTermination": True}}],
)
registered = ec2.register_image(**wanted)["ImageId"]
wait("image_exists", ImageIds=[registered])
wait("image_available", ImageIds=[registered])
image = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": ["judge image*"]}])["Images"][0]
for key in ["Name", "Description", "Architecture", "VirtualizationType", "BootMode", "EnaSupport", "SriovNetSupport", "ImdsSupport", "TpmSupport", "RootDeviceName"]:
    check(f"image keeps {key}", image[key] == wanted[key], image.get(key))
device = image["BlockDeviceMappings"][0]["Ebs"]
check("image keeps its device", device["SnapshotId"] == snapshot and device["VolumeSize"] == 3 and device["VolumeType"] == "gp3", device)
refused("the same name", "InvalidAMIName.Duplicate", ec2.register_image, **wanted)
refused("deleting the snapshot of an image", "InvalidSnapshot.InUse", ec2.delete_snapshot, SnapshotId=snapshot)
ec2.modify_image_attribute(ImageId=registered, LaunchPermission={"Add": [{"UserId": "123456789012"}]})
permissions = ec2.describe_image_attribute(ImageId=registered, Attribute="launchPermission")["LaunchPermissions"]
check("launch permission", permissions == [{"UserId": "123456789012"}], permissions)
check("executable by", len(ec2.describe_images(ExecutableUsers=["123456789012"])["Images"]) == 1)
at = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30)
ec2.enable_image_deprecation(ImageId=registered, DeprecateAt=at)
check("deprecation time", "DeprecationTime" in ec2.describe_images(ImageIds=[registered])["Images"][0])
ec2.disable_image_deprecation(ImageId=registered)
check("no deprecation time", "DeprecationTime" not in ec2.describe_images(ImageIds=[registered])["Images"][0])

# --- who may use it ---
organization = "arn:aws:organizations::123456789012:organization/o-123example"
ec2.modify_image_attribute(ImageId=registered, LaunchPermission={"Add": [{"OrganizationArn": organization}]})
permissions = ec2.describe_image_attribute(ImageId=registered, Attribute="launchPermission")["LaunchPermissions"]
check("launch permissions", permissions == [{"UserId": "123456789012"}, {"OrganizationArn": organization}], permissions)
ec2.reset_image_attribute(ImageId=registered, Attribute="launchPermission")
check("no launch permission", ec2.describe_image_attribute(ImageId=registered, Attribute="launchPermission")["LaunchPermissions"] == [])
check("public access is blocked", ec2.get_image_block_public_access_state()["ImageBlockPublicAccessState"] == "block-new-sharing")
refused("a public image", "OperationNotPermitted", ec2.modify_image_attribute, ImageId=registered, LaunchPermission={"Add": [{"Group": "all"}]})
check("unblocked", ec2.disable_image_block_public_access()["ImageBlockPublicAccessState"] == "unblocked")
ec2.modify_image_attribute(ImageId=registered, LaunchPermission={"Add": [{"Group": "all"}]})
check("public", ec2.describe_images(Owners=["self"], Filters=[{"Name": "is-public", "Values": ["true"]}])["Images"][0]["ImageId"] == registered)
ec2.modify_image_attribute(ImageId=registered, LaunchPermission={"Remove": [{"Group": "all"}]})
check("blocked", ec2.enable_image_block_public_access(ImageBlockPublicAccessState="block-new-sharing")["ImageBlockPublicAccessState"] == "block-new-sharing")
ec2.disable_image_deprecation(ImageId=registered)
ec2.disable_image(ImageId=registered)
check("disabled", ec2.describe_images(ImageIds=[registered], IncludeDisabled=True)["Images"][0]["State"] == "disabled")
ec2.enable_image(ImageId=registered)
ec2.modify_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission", OperationType="add", UserIds=["123456789012"])
read = lambda: ec2.describe_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")["CreateVolumePermissions"]
check("volume permission", read() == [{"UserId": "123456789012"}], read())
ec2.reset_snapshot_attribute(SnapshotId=snapshot, Attribute="createVolumePermission")
check("no volume permission", read() == [])

# --- who refers to it ---
templates = dict(LaunchTemplateData={"ImageId": registered, "InstanceType": "m7g.large"}, ClientToken="judge-lt")
template = ec2.create_launch_template(LaunchTemplateName="judge", TagSpecifications=tags("launch-template", "t"), **templates)["LaunchTemplate"]
second = ec2.create_launch_template_version(LaunchTemplateName="judge", SourceVersion="1", LaunchTemplateData={"InstanceType": "m6g.large"})["LaunchTemplateVersion"]
check("second version", second["VersionNumber"] == 2 and second["LaunchTemplateData"] == {"ImageId": registered, "InstanceType": "m6g.large"}, second)
check("default version", ec2.modify_launch_template(LaunchTemplateName="judge", DefaultVersion="2")["LaunchTemplate"]["DefaultVersionNumber"] == 2)
check("latest of all", [v["VersionNumber"] for v in ec2.describe_launch_template_versions(Versions=["$Latest"])["LaunchTemplateVersions"]] == [2])
check("templates", ec2.describe_launch_templates(Filters=[{"Name": "tag:judge", "Values": ["boto3"]}])["LaunchTemplates"][0]["LaunchTemplateId"] == template["LaunchTemplateId"])
references = list(ec2.get_paginator("describe_image_references").paginate(ImageIds=[registered], IncludeAllResourceTypes=True))[0]["ImageReferences"]
check("references", [(r["ResourceType"], r["Arn"].endswith(template["LaunchTemplateId"])) for r in references] == [("ec2:LaunchTemplate", True)], references)
scaling = boto3.client("autoscaling", config=config)
scaling.create_auto_scaling_group(AutoScalingGroupName="judge", MinSize=0, MaxSize=1, AvailabilityZones=[zone], LaunchTemplate={"LaunchTemplateName": "judge", "Version": "$Default"})
groups = list(scaling.get_paginator("describe_auto_scaling_groups").paginate(AutoScalingGroupNames=["judge"]))[0]["AutoScalingGroups"]
check("group of the template", groups[0]["LaunchTemplate"] == {"LaunchTemplateId": template["LaunchTemplateId"], "LaunchTemplateName": "judge", "Version": "$Default"}, groups)
scaling.delete_auto_scaling_group(AutoScalingGroupName="judge")
refused("a group that is gone", "ValidationError", scaling.delete_auto_scaling_group, AutoScalingGroupName="judge")
ec2.delete_launch_template(LaunchTemplateName="judge")

# --- copies to another region, encrypted there ---
there = boto3.client("ec2", region_name="eu-central-1", config=config)
there.meta.events.register("before-call.ec2.*", lambda model, **_: called.add(model.name))
copy = there.copy_image(SourceRegion=ec2.meta.region_name, SourceImageId=registered, Name="judge copy", Encrypted=True, CopyImageTags=True)["ImageId"]
there.get_waiter("image_available").wait(ImageIds=[copy], WaiterConfig=FAST)
copied = there.describe_images(ImageIds=[copy])["Images"][0]
for key in ["Architecture", "VirtualizationType", "BootMode", "EnaSupport", "SriovNetSupport", "ImdsSupport", "TpmSupport", "RootDeviceName"]:
    check(f"copy keeps {key}", copied[key] == wanted[key], copied.get(key))
check("copy", copied["SourceImageId"] == registered and copied["SourceImageRegion"] == ec2.meta.region_name and {t["Key"] for t in copied["Tags"]} == {"Name", "judge"}, copied)
check("the copy is encrypted", copied["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True, copied)
# botocore presigns the source's request into CopySnapshot, which the API calls deprecated.
apart = there.copy_snapshot(SourceRegion=ec2.meta.region_name, SourceSnapshotId=snapshot, Description="apart")["SnapshotId"]
there.get_waiter("snapshot_completed").wait(SnapshotIds=[apart], WaiterConfig=FAST)
there.deregister_image(ImageId=copy, DeleteAssociatedSnapshots=True)
there.delete_snapshot(SnapshotId=apart)
check("nothing left there", not there.describe_snapshots(OwnerIds=["self"])["Snapshots"])

# --- an image's own instance: no body, but a life ---
inert = ec2.run_instances(ImageId=registered, InstanceType="m7g.large", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
wait("instance_running", InstanceIds=[inert])
check("tokens required by the image's ImdsSupport", ec2.describe_instances(InstanceIds=[inert])["Reservations"][0]["Instances"][0]["MetadataOptions"]["HttpTokens"] == "required")
ec2.reboot_instances(InstanceIds=[inert])
ec2.stop_instances(InstanceIds=[inert])
wait("instance_stopped", InstanceIds=[inert])
captured = ec2.create_image(InstanceId=inert, Name="judge capture")["ImageId"]
wait("image_available", ImageIds=[captured])
capture = ec2.describe_images(ImageIds=[captured])["Images"][0]
check("captured image", capture["BootMode"] == "uefi" and capture["Architecture"] == "arm64" and capture["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 3, capture)
ec2.start_instances(InstanceIds=[inert])
wait("instance_running", InstanceIds=[inert])
statuses = ec2.describe_instance_status(InstanceIds=[inert])["InstanceStatuses"]
check("status", statuses[0]["InstanceState"]["Name"] == "running", statuses)

# --- the end ---
try:
    ec2.terminate_instances(InstanceIds=[inert], DryRun=True)
    check("dry run", False)
except ClientError as error:
    check("dry run", error.response["Error"]["Code"] == "DryRunOperation")
check("dry run did nothing", ec2.describe_instances(InstanceIds=[inert])["Reservations"][0]["Instances"][0]["State"]["Name"] == "running")
change = ec2.terminate_instances(InstanceIds=[instance, inert])["TerminatingInstances"]
check("shutting down", {c["CurrentState"]["Name"] for c in change} == {"shutting-down"}, change)
wait("instance_terminated", InstanceIds=[instance, inert])
wait("volume_available", VolumeIds=[root_volume])
ec2.delete_volume(VolumeId=root_volume)
ec2.delete_volume(VolumeId=volume)
wait("volume_deleted", VolumeIds=[root_volume, volume])
result = ec2.deregister_image(ImageId=captured, DeleteAssociatedSnapshots=True)
check("snapshot deleted with its image", [r["ReturnCode"] for r in result["DeleteSnapshotResults"]] == ["success"], result)
ec2.deregister_image(ImageId=registered)
refused("the deregistered image", "InvalidAMIID.NotFound", ec2.describe_images, ImageIds=[registered])
ec2.delete_snapshot(SnapshotId=snapshot)
refused("the deleted snapshot", "InvalidSnapshot.NotFound", ec2.describe_snapshots, SnapshotIds=[snapshot])
ec2.delete_key_pair(KeyName="judge")
ec2.delete_security_group(GroupId=group)
leftovers = {
    "volumes": ec2.describe_volumes()["Volumes"],
    "snapshots": ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"],
    "images": ec2.describe_images(Owners=["self"])["Images"],
}
check("nothing left", not any(leftovers.values()), leftovers)

# --- what others hear of it ---
put = boto3.client("events", config=config).put_events(Entries=[{"Source": "judge", "DetailType": "done", "Detail": "{}"}, {"Source": "judge", "DetailType": "done", "Detail": "{"}])
check("events", put["FailedEntryCount"] == 1 and "EventId" in put["Entries"][0] and put["Entries"][1]["ErrorCode"] == "MalformedDetail", put)
quota = boto3.client("service-quotas", config=config).get_service_quota(ServiceCode="ec2", QuotaCode="L-0E3CBAB9")["Quota"]
check("quota of public images", quota["Value"] == 5.0 and quota["QuotaName"] == "Public AMIs", quota)

# --- what is not emulated is refused ---
refused("an action that is not emulated", "UnsupportedByLocalCloud", ec2.describe_fleets)
refused("a member that is not emulated", "UnsupportedByLocalCloud", ec2.run_instances, ImageId=image_id, MinCount=1, MaxCount=1, InstanceMarketOptions={"MarketType": "spot"})
refused("an unknown filter", "InvalidParameterValue", ec2.describe_volumes, Filters=[{"Name": "colour", "Values": ["red"]}])

missing = sorted(set(json.loads(sys.argv[1])) - called)
check("every emulated action was called", not missing, missing)
