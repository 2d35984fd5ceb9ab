#!/bin/sh
# One program that stands for many: every tool the worker finds on FreeBSD is a link to it. It writes down how it was called
# and then does enough for the worker to go on; whether the call is one that FreeBSD understands is judged afterwards.
#
# FREEBSD_RECORD: the file that gets the calls; 0x1f between words, 0x1d behind each call.
# FREEBSD_DEVICES: a directory in the place of /dev.
# FREEBSD_SERIAL: what the disk nda1 says it is.
set -eu
name=${0##*/}
words=$name
for word in "$@"; do
	words="$words$(printf '\037')$word"
done
printf '%s\035' "$words" >>"$FREEBSD_RECORD"
# The real tools, for the rest of this script.
PATH=${PATH#*:}
last=
for word in "$@"; do
	before_last=$last
	last=$word
done
# The word that follows $1.
after() {
	wanted=$1
	shift
	while [ $# -gt 1 ]; do
		if [ "$1" = "$wanted" ]; then
			printf '%s\n' "$2"
			return 0
		fi
		shift
	done
}
table=$FREEBSD_DEVICES/table

case $name in
uname)
	case ${1:-} in
	-m) echo "${FREEBSD_MACHINE:-amd64}" ;;
	*) echo FreeBSD ;;
	esac
	;;
id) echo 0 ;;
sysctl)
	case $2 in
	kern.securelevel) echo -1 ;;
	kern.disks) echo 'nda1 nda0' ;;
	esac
	;;
diskinfo)
	case $1,$last in
	-s,/dev/nda1) printf '%s\n' "$FREEBSD_SERIAL" ;;
	-s,*) echo vol0000000000000000f ;;
	*)
		size=$(stat -L -c %s "$FREEBSD_DEVICES/${last#/dev/}")
		printf '%s\t512\t%s\t%s\t4096\t0\n' "$last" "$size" $((size / 512))
		;;
	esac
	;;
mdconfig)
	case $1 in
	-a)
		ln -s "$(after -f "$@")" "$FREEBSD_DEVICES/md0"
		echo md0
		;;
	-d)
		# Somebody may have it open for a moment.
		if [ -e "$FREEBSD_DEVICES/busy" ]; then
			rm "$FREEBSD_DEVICES/busy"
			echo 'mdconfig: ioctl(/dev/mdctl): Device busy' >&2
			exit 1
		fi
		rm "$FREEBSD_DEVICES/md0"
		;;
	esac
	;;
gpart)
	case $1 in
	show)
		[ -e "$table" ] || {
			echo "gpart: No such geom: $last." >&2
			exit 1
		}
		printf '=>      40  196528    %s  GPT  (96M)\n' "$last"
		cat "$table"
		;;
	create) : >"$table" ;;
	destroy) rm "$table" ;;
	add)
		printf '    %s  %s  %s  %s  (x)\n' "$(after -b "$@")" "$(after -s "$@")" "$(after -i "$@")" "$(after -t "$@")" >>"$table"
		truncate -s "$(($(after -s "$@") * 512))" "$FREEBSD_DEVICES/${last}p$(after -i "$@")"
		;;
	set) sed -i "s/^\\(    [0-9]*  [0-9]*  $(after -i "$@")  [a-z-]*\\)  /\\1  [$(after -a "$@")]  /" "$table" ;;
	bootcode) dd if="$(after -p "$@")" of="$FREEBSD_DEVICES/${last}p$(after -i "$@")" conv=notrunc status=none ;;
	esac
	;;
makefs)
	# Options are looked at before operands.
	if [ "$2" = zfs ] && [ -n "${FREEBSD_NO_ZFS:-}" ]; then
		echo "makefs: Unknown fs type \`zfs'." >&2
		exit 1
	fi
	if [ $# -eq 2 ]; then
		echo 'Usage: makefs [-DxZ] image-file directory' >&2
		exit 1
	fi
	if [ "$2" = zfs ] && [ -n "${FREEBSD_ZFS:-}" ]; then
		echo "$FREEBSD_ZFS" >&2
		exit 1
	fi
	# ffs_create_image: too few inodes for the tree.
	case " $* " in
	*",density=${FREEBSD_FEW_INODES:-none} "* | *"${FREEBSD_FEW_INODES:-none}",density=*)
		printf "makefs: Image file \`%s' has 8194 free inodes; 9000 are required.\nmakefs: Image file \`%s' not created.\n" "$before_last" "$before_last" >&2
		exit 1
		;;
	esac
	# What it is told to say: mkfs_msdos fails, and makefs does not.
	if [ -n "${FREEBSD_MAKEFS:-}" ]; then
		printf '%s\n' "$FREEBSD_MAKEFS" "Creating \`$before_last'"
		exit 0
	fi
	# Not a file system, but as sparse as one.
	truncate -s "$(after -s "$@")" "$before_last"
	(cd "$last" && find . | sort | sha256sum) | dd of="$before_last" bs=65536 seek=1 conv=notrunc status=none
	size=$(($(after -s "$@") / 1048576))
	printf 'the end' | dd of="$before_last" bs=1048576 seek=$((size > 31 ? 30 : size - 1)) conv=notrunc status=none
	[ "$2" = zfs ] || printf "Image \`%s' complete\n" "$before_last"
	;;
df)
	case $1 in
	-T) printf 'Filesystem Type 1K-blocks\n/dev/gpt/rootfs %s 9\n' "${FREEBSD_FILE_SYSTEM:-ufs}" ;;
	*) exec df "$@" ;;
	esac
	;;
xz)
	[ -z "${FREEBSD_XZ:-}" ] || [ "$1" != -dc ] || {
		"$name" "$@" | head -c 4096
		echo "$FREEBSD_XZ" >&2
		exit 1
	}
	exec "$name" "$@"
	;;
tar)
	case " $* " in
	# Owners and flags would need FreeBSD under the tree.
	*' -x '*) exec bsdtar "$@" --no-same-owner --no-fflags ;;
	*) exec bsdtar "$@" ;;
	esac
	;;
fetch)
	output=$(after -o "$@")
	resume=
	case " $* " in *' -r '*) resume='-C -' ;; esac
	status=0
	# shellcheck disable=SC2086 # two words or none
	curl -sS -f $resume -o "$output" "$last" 2>"$FREEBSD_DEVICES/curl.stderr" || status=$?
	case $status in
	0) ;;
	22) echo "fetch: $last: Not Found" >&2 ;;
	18) echo "fetch: $output appears to be truncated: 1/2 bytes" >&2 ;;
	7) echo "fetch: $last: Connection refused" >&2 ;;
	*) echo "fetch: transfer timed out" >&2 ;;
	esac
	[ "$status" -eq 0 ]
	;;
sha256) sha256sum ${2:+"$2"} | cut -d ' ' -f 1 ;;
awk)
	# FreeBSD's is Brian Kernighan's (Debian: original-awk).
	if command -v original-awk >/dev/null; then exec original-awk "$@"; fi
	exec awk "$@"
	;;
mtree)
	# The program itself is NetBSD's (Debian: mtree-netbsd), and runs here if there is one.
	if command -v mtree >/dev/null; then exec mtree "$@"; fi
	# bsdtar knows the dialect with full paths, which -C makes of the other.
	case $1 in
	-c) exec bsdtar -cf - --format=mtree --options='mtree:!all,type,uid,gid,mode,flags,link,size,time,sha256' -C "$last" . ;;
	-C) exec cat ;;
	esac
	;;
b64decode) base64 -d ;;
chflags | chown | zpool) ;;
zfs) printf '%s\n' "${FREEBSD_COMPRESSION:-off}" ;;
pwd_mkdb) for made in passwd pwd.db spwd.db; do : >"$(after -d "$@")/$made"; done ;;
stat)
	case $2 in
	%Sf) printf '%s\n' "${FREEBSD_FLAGS:--}" ;;
	*) printf '%04d\n' "$(stat -c %a "$last")" ;;
	esac
	;;
shutdown) : >"$FREEBSD_DEVICES/powered-off" ;;
date)
	case "$*" in
	# strftime(3) of 13.x leaves what it does not know.
	+%s.%N) date +%s.N ;;
	-u\ -r*) exec date -u -d "@$3" "$4" ;;
	*) exec date "$@" ;;
	esac
	;;
dd)
	for word in "$@"; do
		shift
		case $word in
		if=/dev/null | of=/dev/null) ;;
		if=/dev/* | of=/dev/*) word="${word%%=*}=$FREEBSD_DEVICES/${word#*/dev/}" ;;
		esac
		set -- "$@" "$word"
	done
	exec dd "$@"
	;;
curl | wget | sha256sum | base64 | sfdisk | mcopy | mkfs.vfat | node | bsdtar | lsblk | blockdev | poweroff) exit 127 ;;
*) exec "$name" "$@" ;;
esac
