# FreeBSD 13.2 and later, as root, with nothing but the base system. Owners, modes and flags live in the staging tree itself;
# makefs(8) turns it into a file system in a file, gpart(8) makes the table, dd(1) writes to the partitions' devices.
#
# Why makefs and not newfs and a mounted target: it needs no mount that could be left behind, it cannot collide with the
# worker's own root (which has the same label), and FreeBSD's release images are made by it (release/tools/vmimage.subr).

dev=${FOUNDRY_DEV:-/dev}
# In the base system, so no package.
package_xz=

platform_check() {
	if [ "$(id -u)" -ne 0 ]; then
		fail UnsupportedOnPlatform 'the worker needs root on FreeBSD' 'owners and disks cannot be set up without: run it as root'
	fi
	# security(7): from 1 on not even root takes a schg flag away, and the staging tree is full of them.
	if [ "$(sysctl -n kern.securelevel)" -gt 0 ]; then
		fail UnsupportedOnPlatform 'kern.securelevel is over 0' 'start the worker from an image that does not raise it'
	fi
	for _tool in tar xz makefs gpart geom diskinfo mdconfig fetch sha256 b64decode fold chflags realpath readlink pgrep stat pwd_mkdb; do
		need_tool "${_tool}"
	done
	[ "${job_filesystem}" != zfs ] || _check_zfs
}

# makefs(8) has ZFS from 14.0 on. It looks at its options before it misses the operands: one that does not know the type says so,
# the other prints its usage.
_check_zfs() {
	makefs -t zfs >"${state}/makefs.log" 2>&1 || :
	if grep -q 'Unknown fs type' "${state}/makefs.log"; then
		fail UnsupportedOnPlatform "makefs of this worker, $(uname -r), has no ZFS" \
			'start the worker from an image of FreeBSD 14.0 or later, or choose the file system ufs'
	fi
}

platform_tar() {
	tar "$@"
}

# dev_aws_disk (port sysutils/ebsnvme-id) makes the links; without it the serial number of an EBS disk is the volume id
# without its dash. On Xen instance types a disk tells nothing.
platform_find_disk() {
	if [ -e "${dev}/aws/disk/ebs/${volume}" ]; then
		# devd(8) may be just replacing the link: the caller asks again.
		realpath -q "${dev}/aws/disk/ebs/${volume}" || :
		return 0
	fi
	for _disk in $(sysctl -n kern.disks); do
		if [ "$(diskinfo -s "/dev/${_disk}" 2>/dev/null)" = "vol${volume#vol-}" ]; then
			printf '/dev/%s\n' "${_disk}"
			return 0
		fi
	done
}

# On Nitro the kernel hears of a new disk by ACPI and rescans its bus (acpi_pci(4)); on Graviton not before 2025. devctl(8)
# asks for the same rescan. It is no error where there is no such bus.
platform_rescan() {
	devctl rescan pci0 >/dev/null 2>&1 || :
}

# Open counts of the disk itself: a mounted partition, a swap device and a member of a pool all show in them, by whatever
# label they were opened.
platform_disk_use() {
	[ -c "$1" ] || return 0
	case ${1##*/} in
	md*) _use_class=md ;;
	*) _use_class=disk ;;
	esac
	geom "${_use_class}" list "${1##*/}" | awk '
		$1 == "Mode:" { seen = 1; if ($2 != "r0w0e0") print "open as " $2 } END { if (!seen) print "geom does not tell" }'
}

platform_disk_size() {
	if [ -c "$1" ]; then
		diskinfo "$1" | awk '{ print $3 }'
	else
		size_of "$1"
	fi
}

# A process instance's disk is a file: it becomes a memory disk, which is owned until platform_release.
platform_acquire() {
	if [ -c "$1" ]; then
		printf '%s\n' "$1"
		return 0
	fi
	mdconfig -a -t vnode -f "$1" >"${state}/md.owned"
	read -r _md <"${state}/md.owned"
	printf '/dev/%s\n' "${_md}"
}

platform_release() {
	[ -s "${state}/md.owned" ] || return 0
	read -r _md <"${state}/md.owned"
	# EBUSY while anybody has it open, which after the last close may be GEOM or devd(8) for a moment (md(4), geom(4)).
	_md_tries=1
	until mdconfig -d -u "${_md:?}"; do
		[ "${_md_tries}" -lt 25 ] || return 1
		_md_tries=$((_md_tries + 1))
		sleep 0.2
	done
	: >"${state}/md.owned"
}

platform_sha256() {
	sha256 -q
}

# uudecode(1) of 13.x reads lines into a buffer of fixed size; -r: there are no framing lines.
platform_base64_decode() {
	fold -w 76 | b64decode -r
}

# fetch(1) -q: no progress. -T: seconds without data.
platform_stream() {
	fetch -q -T 60 -o - "$1"
}

# -r continues, -F whatever the local file's time is, which keeps the part that is there (implies -R) if it fails again.
platform_resume() {
	fetch -q -T 60 -r -F -o "$2" "$1"
}

# fetch has one status for every failure; its last words tell which it was.
platform_fetch_verdict() {
	_fetch_said=$(tail -n 1 "${state}/fetch.said")
	case $1,${_fetch_said} in
	0,*) _fetch_verdict=complete ;;
	*': Not Found' | *': Gone') _fetch_verdict=missing ;;
	*'appears to be truncated: '*)
		_fetch_verdict=truncated
		_fetch_said="got $(printf '%s' "${_fetch_said##*: }" | sed 's|/| of |')"
		return 0
		;;
	*)
		_fetch_verdict=unreachable
		if [ "$2" -gt 0 ]; then
			_fetch_verdict=truncated
			_fetch_said="got $2 of ? bytes: ${_fetch_said##*: }"
			return 0
		fi
		;;
	esac
	_fetch_said=${_fetch_said##*: }
}

# --numeric-owner: the archive's numbers, not what their names stand for on this machine. tar(1) would decompress in its own
# single thread, between two files; xz(1) does it beside it, in two threads from 5.4 on (13.2 has that) where the archive has
# several blocks, which FreeBSD's have. sh has no pipefail: each member tells its own status.
platform_extract() {
	rm -f "${state:?}"/extract.failed.*
	{
		xz -dc -T2 -- "$1" 2>"${state}/extract.xz" || : >"${state}/extract.failed.xz"
	} | {
		LC_ALL=C.UTF-8 tar -x -v -p --numeric-owner -C "${tree}" -f - 2>"${state}/extract.list" ||
			: >"${state}/extract.failed.extraction"
		# tar stops at the end mark, the archive goes on with padding: xz must not find the pipe closed.
		cat >/dev/null
	}
	for _extract_failed in xz extraction; do
		[ -e "${state}/extract.failed.${_extract_failed}" ] || continue
		cat "${state}/extract.xz" >>"${state}/extract.list"
		extract_failed "${_extract_failed}"
	done
}

platform_made() {
	platform_made_files "$3" "$4" "$5" "$2"
}

platform_made_files() {
	_made_mode=$1
	_made_owner=$2:$3
	shift 3
	chown "${_made_owner}" "$@"
	chmod "${_made_mode}" "$@"
	touch -d "$(date -u -r "${job_timestamp}" +%Y-%m-%dT%H:%M:%SZ)" "$@"
}

# Written in place, which keeps owner and mode. Nobody writes a file with the schg flag before the flag is gone.
platform_rewrite() {
	touch -r "$1" "${state}/rewrite.time"
	# stat(1) shows no flags as -, which chflags(1) does not know.
	_rewrite_flags=$(stat -f %Sf "$1")
	platform_unlock "$1"
	cat "$2" >"$1"
	touch -r "${state}/rewrite.time" "$1"
	[ "${_rewrite_flags}" = - ] || chflags "${_rewrite_flags}" "$1"
}

platform_unlock() {
	if [ -e "$1" ] || [ -L "$1" ]; then
		chflags -h 0 "$1"
	fi
}

# _makefs(argument...): makefs -t msdos exits with 0 when it could not format the image (usr.sbin/makefs/msdos.c returns),
# so what counts is its last word; ffs has the same. zfs says nothing, and every failure of its is an exit (zfs.c). Sets
# ${_make_said} to what is wrong, or to nothing. Errors are not buffered, so they stand above what it had said before them.
_makefs() {
	_make_said=
	if makefs "$@" >"${state}/makefs.log" 2>&1 && { [ "$2" = zfs ] || grep -q '^Image .* complete$' "${state}/makefs.log"; }; then
		# ZFS may tell holes wrongly in a file that is not on the disk yet (OpenZFS issue 15526, in 13.2 and 14.0), and holes
		# are not copied (extents.sh). On UFS a block is allocated when it is written.
		case $(df -T "${images}" | awk 'NR == 2 { print $2 }') in
		zfs) zpool sync ;;
		esac
		return 0
	fi
	cat "${state}/makefs.log" >&2
	# "not created" follows the reason.
	_make_said=$(grep '^makefs: ' "${state}/makefs.log" | grep -v ' not created\.$' | tail -n 1) || :
	_make_said=${_make_said:-$(tail -n 1 "${state}/makefs.log")}
	_make_said=${_make_said:-makefs said nothing}
}

# platform_loses_zeroes(directory): prints why zeroes that are written to a file there are no data afterwards, or nothing. ZFS makes holes of
# them when it compresses, by whatever algorithm (zfsprops(7), compression).
platform_loses_zeroes() {
	case $(df -T "$1" | awk 'NR == 2 { print $2 }') in
	zfs) zfs get -H -o value compression "$1" | awk '$1 != "off" { print "ZFS compresses by " $1 }' ;;
	esac
}

platform_make_root() {
	if [ "${job_filesystem}" = zfs ]; then
		_make_pool "$@"
	else
		_make_ufs "$1" "$2" rootfs "${tree}"
	fi
	_make_judge "root file system"
}

# Bytes for each inode: what newfs(8) has, and one fragment, which gives the most. Left to itself makefs makes as many inodes as the tree
# has files and next to none to spare (ffs_validate, usr.sbin/makefs/ffs.c; freebsd/poudriere issue 701): FreeBSD's own images get
# theirs when growfs(7) doubles them, these are as large as their disk, and an empty data partition would have 128 in a GB.
ufs_densities='8192 4096'

# _make_ufs(image, size, label, directory)
_make_ufs() {
	for _make_density in ${ufs_densities}; do
		_makefs -t ffs -B little -Z -o "version=2,label=$3,softupdates=1,density=${_make_density}" -s "$2" "$1" "$4"
		case ${_make_said} in
		*' free inodes; '*) ;;
		*) break ;;
		esac
	done
}

# As release/tools/vmimage.subr calls it: rootpath puts the tree, not a directory of the pool's name, at /. The image is as long
# as -s says (zfs_size_vdev, usr.sbin/makefs/zfs.c), so growfs(7) finds the second pair of labels where the partition ends.
_make_pool() {
	_pool_image=$1
	_pool_size=$2
	job_get zfs.bootfs
	set -- -o "bootfs=${value}"
	_pool_n=0
	while [ "${_pool_n}" -lt "${job_datasets}" ]; do
		_pool_n=$((_pool_n + 1))
		job_get "dataset.${_pool_n}.name"
		_pool_dataset=${value}
		job_get "dataset.${_pool_n}.options"
		set -- "$@" -o "fs=${_pool_dataset}${value:+;}${value}"
	done
	job_get zfs.pool
	_makefs -t zfs -o "poolname=${value}" -o rootpath=/ "$@" -s "${_pool_size}" "${_pool_image}" "${tree}"
}

# What makefs says of too little room: ffs, then zfs.
_make_judge() {
	case ${_make_said} in
	'') return 0 ;;
	*'larger than the maxsize'* | *' free inodes; '* | *'failed to find '*' bytes of space'* | *'maximum image size is too small'*)
		fail VolumeTooSmall "the $1 does not have room for what goes into it: ${_make_said}" 'choose a larger root volume'
		;;
	esac
	filesystem_failed "the $1: ${_make_said}"
}

platform_make_data() {
	chmod 0755 "$5"
	touch -d "$(date -u -r "${job_timestamp}" +%Y-%m-%dT%H:%M:%SZ)" "$5"
	_make_ufs "$1" "$2" "$3" "$5"
	_make_judge "data file system $3"
}

# As tools/boot/install-boot.sh makes the ESP of the release images; no memory disk and no mount that could be left behind.
platform_make_esp() {
	mkdir -p "${images}/esp/EFI/BOOT"
	cp "$3" "${images}/esp/EFI/BOOT/$4"
	# -T before -o: it is read while the options are (msdos_parse_opts).
	_makefs -t msdos -T "${job_timestamp}" -o fat_type=32 -o sectors_per_cluster=1 -o volume_label=EFISYS \
		-o volume_id="$((0x$(printf '%.8s' "${job_filesystem_id}")))" -s "$2" "$1" "${images}/esp"
	[ -z "${_make_said}" ] ||
		filesystem_failed "the ESP: ${_make_said}"
}

# What gpart prints ("nda1p1 added") is not the console's business.
_gpart() {
	gpart "$@" >"${state}/gpart.log" 2>&1 && return 0
	write_failed "gpart $1: $(tail -n 1 "${state}/gpart.log")"
}

# gpart chooses the GUIDs of disk and partitions itself. Numbers without a suffix are sectors.
platform_partition() {
	_table_disk=${1##*/}
	_table_sector=$(diskinfo "$1" | awk '{ print $2 }')
	if gpart show "${_table_disk}" >/dev/null 2>&1; then
		_gpart destroy -F "${_table_disk}"
	fi
	_gpart create -s gpt "${_table_disk}"
	while read -r _table_index _table_type _table_label _table_start _table_size _table_id _table_content; do
		_gpart add -t "${_table_type}" -b $((_table_start / _table_sector)) -s $((_table_size / _table_sector)) \
			-l "${_table_label}" -i "${_table_index}" "${_table_disk}"
	done <"${state}/layout"
	# gptboot(8) boots the first partition of UFS, which is that of data, unless another one has this attribute.
	if [ "${job_filesystem}" = ufs ] && layout_of boot && layout_of data; then
		layout_of root
		_gpart set -a bootme -i "${part_index}" "${_table_disk}"
	fi
	if layout_of boot; then
		_gpart bootcode -b "${state}/pmbr" -p "${state}/${boot_code}" -i "${part_index}" "${_table_disk}"
	fi
}

# GEOM gives each partition a device of its own; writing to the disk under it is refused. The device is there when gpart
# returns: a thread that has posted GEOM events waits for them on its way out of the kernel (g_waitidle, sys/geom/geom_event.c).
platform_partition_at() {
	target_device=${disk}p$1
	target_start=0
}

# A disk's device is not buffered: what dd has written is on the disk.
platform_flush() { :; }

platform_check_table() {
	_table_sector=$(diskinfo "$1" | awk '{ print $2 }')
	gpart show "${1##*/}" >"${state}/gpart.log" 2>&1 || return 1
	! grep -q CORRUPT "${state}/gpart.log" || return 1
	while read -r _table_index _table_type _table_label _table_start _table_size _table_id _table_content; do
		awk -v start=$((_table_start / _table_sector)) -v size=$((_table_size / _table_sector)) -v part="${_table_index}" -v type="${_table_type}" '
			$1 == start && $2 == size && $3 == part && $4 == type { found = 1 } END { exit !found }' "${state}/gpart.log" || return 1
	done <"${state}/layout"
}

platform_read() {
	dd if="$1" bs=1048576 skip="$2" count="$3" 2>/dev/null
}

platform_mode() {
	stat -f %Mp%Lp "$1"
}

# -p makes passwd too. The worker's own accounts have no part in it: what pwd_mkdb(8) reads is the file it is given.
platform_account_databases() {
	pwd_mkdb -p -d "$1" "$1/master.passwd" >"${state}/pwd_mkdb.log" 2>&1 && return 0
	cat "${state}/pwd_mkdb.log" >&2
	fail AccountInvalid "master.passwd: $(tail -n 2 "${state}/pwd_mkdb.log" | tr '\n' ' ')" 'write its lines as passwd(5) says'
}

# Nobody removes a file with the schg flag before the flag is gone.
platform_discard_tree() {
	# Neither is a mount that could not be undone removed with the tree.
	[ ! -s "${state}/chroot.owned" ] || return 0
	[ -n "${power_off}" ] || chflags -R 0 "${tree:?}"
	discard "${tree}"
}

# Returns at once (shutdown(8) goes on in a child of its own) and works while rc(8) is still running: init(8) then skips
# rc.shutdown, ends all processes and powers off. The bootstrap keeps rc waiting meanwhile.
platform_power_off() {
	shutdown -p now
}
