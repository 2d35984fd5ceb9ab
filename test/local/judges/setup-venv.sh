#!/bin/sh
# Makes .state/venv with the Python judges of requirements.txt. Does nothing when it is there already, so it may be called
# before every test run. Exits 0 when the judges can be used, 75 (EX_TEMPFAIL) when Python or pip cannot be had.
set -eu

here=$(cd -- "$(dirname -- "$0")" && pwd)
venv=${here}/../../../.state/venv
stamp=${venv}/.requirements

if [ -x "${venv}/bin/python" ] && cmp -s "${here}/requirements.txt" "${stamp}"; then
    exit 0
fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
    echo "judges: python3 with venv is missing (Debian: apt-get install python3-venv)" >&2
    exit 75
fi

# Two test runs at the same time must not both write it: mkdir is the lock, for as long as an install may take.
mkdir -p "${venv%/*}"
waited=0
until mkdir "${venv}.lock" 2>/dev/null; do
    if [ "${waited}" -ge 300 ]; then
        echo "judges: ${venv}.lock has been there for 300 s; remove it if nobody installs" >&2
        exit 75
    fi
    sleep 1
    waited=$((waited + 1))
done
trap 'rmdir "${venv}.lock"' EXIT
if cmp -s "${here}/requirements.txt" "${stamp}"; then
    exit 0
fi

[ -x "${venv}/bin/pip" ] || python3 -m venv "${venv}"
if ! "${venv}/bin/pip" install --quiet --disable-pip-version-check --requirement "${here}/requirements.txt" >&2; then
    echo "judges: pip could not install ${here}/requirements.txt" >&2
    exit 75
fi
cp "${here}/requirements.txt" "${stamp}"
