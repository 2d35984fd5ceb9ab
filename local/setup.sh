#!/bin/sh
# Installs what this machine lacks: Debian packages (as root or by sudo) and npm packages. Run by make; safe to run again.
# Arguments: image | test | deploy, the job to prepare for.
set -eu

job=${1:?usage: local/setup.sh image|test|deploy}
cd -- "$(dirname -- "$0")/.."

# program:package pairs. Programs that stand in /sbin are looked for there too: an ordinary user's PATH may lack it.
PATH=$PATH:/usr/sbin:/sbin
wanted='npm:npm bsdtar:libarchive-tools sfdisk:fdisk mcopy:mtools mkfs.vfat:dosfstools xz:xz-utils curl:curl openssl:openssl pgrep:procps
grub-mkimage:grub-common qemu-system-x86_64:qemu-system-x86'
files='/usr/lib/grub/x86_64-efi/part_gpt.mod:grub-efi-amd64-bin /usr/share/OVMF/OVMF_CODE_4M.fd:ovmf'
if [ "$job" = deploy ]; then
    # What AWS makes images with is not needed here.
    wanted='npm:npm'
    files=
fi
[ -z "${WORKER_IMAGE:-}" ] || wanted="$wanted qemu-img:qemu-utils"
if [ "$job" = test ]; then
    wanted="$wanted python3:python3 busybox:busybox dash:dash shellcheck:shellcheck fls:sleuthkit sgdisk:gdisk
grub-fstest:grub-common packer:packer setpriv:util-linux git:git postfix:postfix ip:iproute2
gawk:gawk mawk:mawk original-awk:original-awk mtree:mtree-netbsd nc:netcat-openbsd bzip2:bzip2
chromium:chromium qemu-system-aarch64:qemu-system-arm qemu-img:qemu-utils mkfs.ext4:e2fsprogs
zsh:zsh fish:fish script:bsdutils"
    files="$files /usr/share/AAVMF/AAVMF_CODE.fd:qemu-efi-aarch64"
fi

missing=
for pair in $wanted; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair##*:}"
done
for pair in $files; do
    [ -e "${pair%%:*}" ] || missing="$missing ${pair##*:}"
done
if [ "$job" = test ] && ! python3 -c 'import ensurepip, venv' >/dev/null 2>&1; then
    missing="$missing python3-venv"
fi
# Where it lies depends on the machine's architecture.
if [ "$job" = test ] && ! ls /usr/lib/*/sasl2/libplain.so >/dev/null 2>&1; then
    missing="$missing libsasl2-modules"
fi

if [ -n "$missing" ]; then
    # Several programs may come from one package.
    # shellcheck disable=SC2086 # the list is split into words on purpose
    missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
    if ! command -v apt-get >/dev/null 2>&1; then
        printf 'setup: please install what Debian calls: %s\n' "$missing" >&2
        exit 69
    elif [ "$(id -u)" -eq 0 ]; then
        sudo=
    elif command -v sudo >/dev/null 2>&1; then
        sudo=sudo
    else
        printf 'setup: run as root: apt-get install --no-install-recommends %s\n' "$missing" >&2
        exit 77
    fi
    printf 'setup: installing %s\n' "$missing"
    case " $missing" in
    *' postfix '*)
        # The tests bring their own configuration: the machine itself gets no mail server.
        echo 'postfix postfix/main_mailer_type select No configuration' | $sudo debconf-set-selections
        ;;
    esac
    # shellcheck disable=SC2086
    { $sudo apt-get update -q && $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends $missing; } >&2
fi

# The original Berkeley DB judges the account databases. Not every Debian has it; without it its tests say that they are skipped.
if [ "$job" = test ] && [ "$(id -u)" -eq 0 ] && [ ! -e /lib/libdb1.so.2 ] && [ ! -e /usr/lib/libdb1.so.2 ] &&
    apt-cache show libdb1-compat >/dev/null 2>&1; then
    printf 'setup: installing libdb1-compat\n'
    env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends libdb1-compat >&2 || :
fi

mkdir -p .state
if ! cmp -s package-lock.json .state/package-lock.json; then
    # npm leaves out optional packages that do not suit the Node it runs on, native parts of the tools among them. So Node 24
    # comes first and alone, and runs npm for the rest.
    version=$(sed -n 's/^ *"node": "\([0-9.]*\)",*$/\1/p' package.json)
    npm install --prefix .state/node --no-save --no-fund --no-audit --loglevel=error "node@${version:?}" >&2
    PATH=$PWD/.state/node/node_modules/.bin:$PATH
    # Not `npm ci`: it refuses a lock file from a registry that lacks the optional packages of other platforms. The versions
    # are the lock file's all the same, and --no-save leaves it as it is.
    npm install --no-save --no-fund --no-audit --loglevel=error >&2
    cp package-lock.json .state/package-lock.json
fi
if ! node_modules/.bin/node --version >/dev/null 2>&1; then
    # npm 12 runs no install script that is not allowed; the node package fetches Node 24 in one.
    npm rebuild node esbuild >&2
fi
