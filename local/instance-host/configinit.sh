#!/bin/sh
# First boot of a process instance, the way FreeBSD's ec2_configinit does it: user-data by IMDSv2 into a file,
# and run if it is a script. Standard output and error are the serial console.
set -u

endpoint=${AWS_EC2_METADATA_SERVICE_ENDPOINT:?}

token=$(curl -sSf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' "${endpoint}/latest/api/token") || {
    echo "configinit: no metadata token"
    exit 1
}
file=$(mktemp "${TMPDIR:?}/configinit.XXXXXX") || exit 1
status=$(curl -sS -o "${file}" -w '%{http_code}' -H "X-aws-ec2-metadata-token: ${token}" \
    "${endpoint}/latest/user-data") || exit 1
case ${status} in
200) ;;
404)
    echo "configinit: no user-data"
    exit 0
    ;;
*)
    echo "configinit: user-data: HTTP ${status}"
    exit 1
    ;;
esac
# The real configinit knows other formats ('>', '#>', archives); here only scripts run.
if [ "$(head -c 2 "${file}")" != '#!' ]; then
    echo "configinit: user-data is not a script (no #!): not run"
    exit 1
fi
chmod 0700 "${file}"
exec "${file}"
