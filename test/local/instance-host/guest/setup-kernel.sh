#!/bin/sh
# Fetches the kernel of the stand-in worker's guest from Debian into .state/worker-guest/kernel, unpacked and not installed.
# Run by make test. Without it the tests that boot the guest say that they are skipped.
set -eu

cd -- "$(dirname -- "$0")/../../../.."
state=$PWD/.state/worker-guest
[ ! -e "$state/kernel/boot" ] || exit 0

# The package that the meta-package stands for now.
package_name() {
    apt-cache depends linux-image-cloud-amd64 2>/dev/null | sed -n 's/^ *Depends: *\(linux-image-[0-9][^ ]*\)$/\1/p' | head -n 1
}
name=$(package_name)
if [ -z "$name" ] && [ "$(id -u)" -eq 0 ]; then
    apt-get update -q >&2
    name=$(package_name)
fi
if [ -z "$name" ]; then
    echo 'setup-kernel: no package linux-image-cloud-amd64 here: the stand-in worker will not be booted' >&2
    exit 69
fi
echo "setup-kernel: fetching $name"
mkdir -p "$state"
rm -rf "$state/fetch"
mkdir "$state/fetch"
(cd "$state/fetch" && apt-get download -q "$name" >&2)
dpkg-deb -x "$state"/fetch/*.deb "$state/fetch/kernel"
rm -rf "$state/kernel"
mv "$state/fetch/kernel" "$state/kernel"
rm -rf "$state/fetch"
