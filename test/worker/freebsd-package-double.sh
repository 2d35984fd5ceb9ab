#!/bin/sh
# As freebsd-double.sh, for what only packages, scripts and uploads call.
#
# FREEBSD_TREE: the staging tree, for the snippets.
# FREEBSD_PKG: a shell snippet that is run for each call of pkg, with $command; it may print, exit and make files.
# FREEBSD_UPDATE: the same for freebsd-update.
set -eu
name=${0##*/}
words=$name
for word in "$@"; do
	words="$words$(printf '\037')$word"
done
printf '%s\035' "$words" >>"$FREEBSD_RECORD"
PATH=${PATH#*:}

case $name in
mount)
	last=
	for word in "$@"; do last=$word; done
	printf '%s\n' "$last" >>"$FREEBSD_DEVICES/mounts"
	;;
umount)
	if [ -e "$FREEBSD_DEVICES/umount-busy" ] || [ -e "$FREEBSD_DEVICES/umount-stuck" ]; then
		rm -f "$FREEBSD_DEVICES/umount-busy"
		echo "umount: unmount of $1 failed: Device busy" >&2
		exit 1
	fi
	grep -vxF -- "$1" "$FREEBSD_DEVICES/mounts" >"$FREEBSD_DEVICES/mounts.new" || :
	mv "$FREEBSD_DEVICES/mounts.new" "$FREEBSD_DEVICES/mounts"
	;;
df)
	case $1 in
	-P)
		on=/
		if [ -e "$FREEBSD_DEVICES/mounts" ] && grep -qxF -- "$2" "$FREEBSD_DEVICES/mounts"; then on=$2; fi
		printf 'Filesystem 512-blocks Used Avail Capacity  Mounted on\ndevfs 2 2 0   100%%    %s\n' "$on"
		;;
	-T) printf 'Filesystem Type 1K-blocks\n/dev/gpt/rootfs ufs 9\n' ;;
	*) exec df "$@" ;;
	esac
	;;
devfs | fuser) ;;
chroot)
	FREEBSD_TREE=$1
	shift
	# env -i NAME=value… /bin/sh -ev /.foundry/NAME: the same without the change of the root.
	[ "$1" = /usr/bin/env ]
	shift
	for word in "$@"; do
		shift
		case $word in
		/.foundry/*) word=$FREEBSD_TREE$word ;;
		/bin/sh)
			for piece in ${FREEBSD_SHELL:-sh}; do set -- "$@" "$piece"; done
			continue
			;;
		esac
		set -- "$@" "$word"
	done
	cd "$FREEBSD_TREE"
	exec env "$@"
	;;
pkg)
	command=
	skip=
	for word in "$@"; do
		if [ -n "$skip" ]; then
			skip=
			continue
		fi
		case $word in
		-N) command=${command:-N} ;;
		-[ocrCR]) [ -n "$command" ] || skip=yes ;;
		-*) ;;
		*) [ -n "$command" ] || command=$word ;;
		esac
	done
	eval "${FREEBSD_PKG:-}"
	;;
freebsd-update)
	for word in "$@"; do command=$word; done
	eval "${FREEBSD_UPDATE:-}"
	;;
timeout | nc | openssl) exec "$name" "$@" ;;
*) exit 127 ;;
esac
