#!/bin/sh
# Makes sure that .state/venv has moto for the oracle; exits 0 when it is there. The judges' own setup is preferred, as it
# makes the same venv with more in it.
set -eu
cd "$(dirname "$0")/../../../.."
venv=.state/venv
moto='import moto; raise SystemExit(moto.__version__ != "5.2.1")'

if [ -x "$venv/bin/python" ] && "$venv/bin/python" -c "$moto" 2>/dev/null; then
    exit 0
fi
if [ -f test/local/judges/setup-venv.sh ]; then
    sh test/local/judges/setup-venv.sh
fi
if [ ! -x "$venv/bin/python" ]; then
    python3 -m venv "$venv"
fi
if ! "$venv/bin/python" -c "$moto" 2>/dev/null; then
    "$venv/bin/pip" install --quiet --disable-pip-version-check 'moto[server,stepfunctions]==5.2.1'
fi
"$venv/bin/python" -c "$moto"
