# Linux, as root or not, with the same result: owners, modes, flags and devices live only in the mtree specification, the
# disk is written as a file or block device, and no file system is ever mounted.

dev=${FOUNDRY_DEV:-/dev}
package_xz=xz-utils

platform_check() {
	if [ "${job_filesystem}" != ufs ]; then
		fail UnsupportedOnPlatform 'a ZFS root is made by makefs -t zfs, which only FreeBSD has' \
			'start the worker from an image of FreeBSD 14.0 or later, or choose the file system ufs'
	fi
	need_tool bsdtar libarchive-tools
	need_tool curl curl
	need_tool sha256sum coreutils
	need_tool base64 coreutils
	need_tool truncate coreutils
	need_tool sfdisk fdisk
	need_tool mkfs.vfat dosfstools
	need_tool mcopy mtools
	need_tool node nodejs
	need_tool pgrep procps
	# Only block devices need these; a process instance's disk is a file.
	need_tool lsblk util-linux
	need_tool blockdev util-linux
}

platform_tar() {
	bsdtar "$@"
}

platform_find_disk() {
	_disk_serial=vol${volume#vol-}
	for _disk in "${dev}/aws/disk/ebs/${volume}" "${dev}/disk/by-id/nvme-Amazon_Elastic_Block_Store_${_disk_serial}"; do
		if [ -e "${_disk}" ]; then
			readlink -f -- "${_disk}"
			return 0
		fi
	done
	# Without udev there are no links; the serial number of an EBS disk is the volume id without its dash.
	for _disk in /sys/block/nvme*; do
		[ -r "${_disk}/device/serial" ] || continue
		read -r _disk_found <"${_disk}/device/serial" || :
		if [ "${_disk_found}" = "${_disk_serial}" ] && [ -b "${dev}/${_disk##*/}" ]; then
			printf '%s\n' "${dev}/${_disk##*/}"
			return 0
		fi
	done
}

platform_rescan() { :; }

platform_disk_use() {
	[ -b "$1" ] || return 0
	# The disk, its partitions and what is stacked on them.
	lsblk -nro NAME,MOUNTPOINT -- "$1" | awk 'NF > 1 { printf "%s is mounted on %s ", $1, $2 }'
}

platform_disk_size() {
	if [ -b "$1" ]; then
		blockdev --getsize64 "$1"
	else
		size_of "$1"
	fi
}

# Files and block devices are written alike, so there is nothing to own.
platform_acquire() {
	printf '%s\n' "$1"
}

platform_release() { :; }

# OpenSSL uses the processor's SHA instructions, coreutils 9.1 does not: a quarter of the time.
platform_sha256() {
	if command -v openssl >/dev/null 2>&1; then
		openssl dgst -sha256 -r
	else
		sha256sum
	fi | cut -d ' ' -f 1
}

platform_base64_decode() {
	base64 -d
}

# -q: no configuration of the user's. --globoff: a URL is a URL. --fail: no error page becomes a set.
_curl() {
	curl -q --globoff --silent --show-error --fail --location --proto '=http,https' --connect-timeout 20 \
		--speed-limit 1 --speed-time 60 --dump-header "${state}/fetch.headers" "$@"
}

platform_stream() {
	: >"${state}/fetch.headers"
	_curl --output - "$1"
}

platform_resume() {
	: >"${state}/fetch.headers"
	_curl --continue-at - --output "$2" "$1"
}

# curl(1), EXIT CODES; the last header block is the answer, those before it are redirects.
platform_fetch_verdict() {
	_fetch_said=$(tail -n 1 "${state}/fetch.said")
	_fetch_said=${_fetch_said#curl: }
	_fetch_answer=$(tr -d '\r' <"${state}/fetch.headers" | awk '
		/^HTTP\// { code = $2; total = "" }
		tolower($1) == "content-length:" { if (total == "") total = $2 }
		tolower($1) == "content-range:" { sub(/.*\//, ""); total = $0 }
		END { print code + 0, (total == "" ? "?" : total) }')
	_fetch_code=${_fetch_answer% *}
	case $1,${_fetch_code} in
	0,*) _fetch_verdict=complete ;;
	22,404 | 22,410)
		_fetch_verdict=missing
		_fetch_said="answered ${_fetch_code}"
		;;
	# The file has all bytes that there are, or the server cannot resume.
	22,416 | 33,*) _fetch_verdict=no-ranges ;;
	22,*)
		_fetch_verdict=unreachable
		_fetch_said="answered ${_fetch_code}"
		;;
	*)
		_fetch_verdict=unreachable
		if [ "$2" -gt 0 ]; then
			_fetch_verdict=truncated
			_fetch_said="got $2 of ${_fetch_answer#* } bytes"
		fi
		;;
	esac
}

# One decompression feeds the extraction and the specification. sh has no pipefail: each member tells its own status.
platform_extract() {
	rm -f "${state:?}"/extract.failed.* "${state:?}/extract.fifo"
	mkfifo "${state}/extract.fifo"
	(
		# Names in FreeBSD's archives are UTF-8; in the C locale bsdtar complains about every one beyond ASCII.
		LC_ALL=C.UTF-8 bsdtar -cf "${state}/spec.$2" --format=mtree \
			--options='mtree:!all,type,uid,gid,mode,link,time,flags,device' @- 2>"${state}/extract.spec" ||
			: >"${state}/extract.failed.spec"
		# tar stops at the end mark, the archive goes on with padding: whoever writes must not find the pipe closed.
		cat >/dev/null
	) <"${state}/extract.fifo" &
	_extract_reader=$!
	{
		# Two threads bound the memory; xz before 5.4 ignores them when it decompresses.
		xz -dc -T2 -- "$1" 2>"${state}/extract.xz" || : >"${state}/extract.failed.xz"
	} | {
		tee -- "${state}/extract.fifo" || : >"${state}/extract.failed.tee"
	} | {
		# Without root no owner, and with root none either: the tree is the same. File flags would become chattr(1) flags.
		LC_ALL=C.UTF-8 bsdtar -x -v --no-same-owner --no-same-permissions --no-acls --no-xattrs --no-fflags \
			-C "${tree}" -f - 2>"${state}/extract.list" || : >"${state}/extract.failed.extraction"
		cat >/dev/null
	}
	wait "${_extract_reader}"
	for _extract_failed in xz tee extraction spec; do
		[ -e "${state}/extract.failed.${_extract_failed}" ] || continue
		[ ! -e "${state}/extract.${_extract_failed}" ] || cat "${state}/extract.${_extract_failed}" >>"${state}/extract.list"
		grep -v '^x [^:]*$' "${state}/extract.list" >&2 || :
		extract_failed "${_extract_failed}"
	done
	cat "${state}/spec.$2" >>"${state}/spec"
	# A directory that is 0555 in the release must still take the next set's files, a file that is 0000 be read by makefs.
	find "${tree}" \( -type d ! -perm -0700 -o -type f ! -perm -0400 \) -exec chmod u+rwx {} +
}

# _mtree_path(path below the tree): sets ${mtree_path} to it as mtree(5) writes it; every byte outside the plain ones as three
# octal digits.
_mtree_path() {
	mtree_path=$1
	case $1 in
	*[!A-Za-z0-9._/+,-]*) ;;
	*) return 0 ;;
	esac
	mtree_path=$(printf '%s' "$1" | od -An -v -to1 | awk '
		{
			for (i = 1; i <= NF; i++) {
				code = substr($i, 1, 1) * 64 + substr($i, 2, 1) * 8 + substr($i, 3, 1)
				plain = (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || index("-._/+,", sprintf("%c", code)) > 0
				if (plain) printf "%c", code; else printf "\\%s", $i
			}
		}')
}

platform_made() {
	case $1 in
	directory) _made_type=dir ;;
	file) _made_type=file ;;
	esac
	_mtree_path "${2#"${tree}"}"
	printf '.%s type=%s uid=%s gid=%s mode=%s flags=none time=%s.0\n' \
		"${mtree_path}" "${_made_type}" "$4" "$5" "$3" "${job_timestamp}" >>"${state}/spec"
}

platform_made_files() {
	_made_mode=$1
	_made_uid=$2
	_made_gid=$3
	shift 3
	for _made_file in "$@"; do
		platform_made file "${_made_file}" "${_made_mode}" "${_made_uid}" "${_made_gid}"
	done
}

# All but the content is in the specification, which has the file already.
platform_rewrite() {
	chmod u+w "$1"
	cat -- "$2" >"$1"
}

platform_unlock() { :; }

# _makefs(image, size, label, id, specification, directory)
_makefs() {
	_make_status=0
	node "${worker}/makefs.mjs" -t ffs -o "version=2,label=$3,softupdates=1,time=${job_timestamp},id=$4" \
		-s "$2" -F "$5" "$1" "$6" >"${state}/makefs.stdout" 2>"${state}/makefs.stderr" || _make_status=$?
	[ "${_make_status}" -ne 0 ] || return 0
	cat "${state}/makefs.stderr" >&2
	_make_said=$(grep '^makefs: [A-Za-z]*: ' "${state}/makefs.stderr" | tail -n 1) || :
	case ${_make_said} in
	'makefs: VolumeTooSmall: '*)
		_make_said=${_make_said#makefs: VolumeTooSmall: }
		fail VolumeTooSmall "$3: ${_make_said%; *}" "${_make_said##*; }"
		;;
	esac
	# Words of its own, or those of Node: the message stands above the stack, the version in the last line.
	filesystem_failed "$3: ${_make_said:-makefs ended with status ${_make_status}: $(grep -m 1 Error "${state}/makefs.stderr" || tail -n 1 "${state}/makefs.stderr")}"
}

# Of the file systems that a Linux worker has for its root none makes holes of zeroes.
platform_loses_zeroes() { :; }

platform_make_root() {
	_makefs "$1" "$2" rootfs "${job_filesystem_id}" "${state}/spec" "${tree}"
}

# An id of its own: the kernel tells mounted file systems apart by it.
platform_make_data() {
	printf '. type=dir uid=0 gid=0 mode=0755 time=%s.0\n' "${job_timestamp}" >"${state}/spec.data"
	_makefs "$1" "$2" "$3" "$(printf '%.18s' "$4" | tr -d - | tr A-F a-f)" "${state}/spec.data" "$5"
}

# Everything that would come from the clock or from chance is given: the image is a function of the job.
platform_make_esp() {
	SOURCE_DATE_EPOCH=${job_timestamp}
	# FreeBSD's own ESPs are near the least number of clusters FAT32 may have; mtools would refuse to touch them.
	MTOOLS_SKIP_CHECK=1
	MTOOLSRC=/dev/null
	export SOURCE_DATE_EPOCH MTOOLS_SKIP_CHECK MTOOLSRC
	truncate -s "$2" "$1"
	mkfs.vfat -F 32 -S 512 -s 1 -n EFISYS -i "$(printf '%.8s' "${job_filesystem_id}")" --invariant "$1" >"${state}/esp.log" 2>&1 ||
		filesystem_failed "mkfs.vfat: $(tail -n 1 "${state}/esp.log")"
	{ mmd -i "$1" ::EFI ::EFI/BOOT && mcopy -m -i "$1" "$3" "::EFI/BOOT/$4"; } >"${state}/esp.log" 2>&1 ||
		filesystem_failed "the loader does not go onto the ESP: $(tail -n 1 "${state}/esp.log")"
}

# The identifiers are those of sys/disk/gpt.h; sfdisk counts sectors of 512 bytes. gptboot(8) boots the first partition of UFS, which is
# that of data, unless another one has the attribute bootme, bit 59.
platform_partition() {
	_table_bootme=
	if layout_of boot && layout_of data; then
		_table_bootme=', attrs="GUID:59"'
	fi
	{
		printf 'label: gpt\nlabel-id: %s\nunit: sectors\nfirst-lba: 40\n' "${job_disk_id}"
		while read -r _table_index _table_type _table_label _table_start _table_size _table_id _table_content; do
			case ${_table_type} in
			freebsd-boot) _table_type=83BD6B9D-7F41-11DC-BE0B-001560B84F0F ;;
			efi) _table_type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B ;;
			freebsd-swap) _table_type=516E7CB5-6ECF-11D6-8FF8-00022D09712B ;;
			freebsd-ufs) _table_type=516E7CB6-6ECF-11D6-8FF8-00022D09712B ;;
			esac
			_table_attributes=
			[ "${_table_content}" != root ] || _table_attributes=${_table_bootme}
			printf 'start=%s, size=%s, type=%s, uuid=%s, name="%s"%s\n' $((_table_start / 512)) $((_table_size / 512)) \
				"${_table_type}" "${_table_id}" "${_table_label}" "${_table_attributes}"
		done <"${state}/layout"
	} >"${state}/table"
	sfdisk --quiet --no-reread --no-tell-kernel --wipe always "$1" <"${state}/table" >"${state}/table.log" 2>&1 ||
		write_failed "sfdisk: $(tail -n 1 "${state}/table.log")"
	layout_of boot || return 0
	# 440 bytes: the boot code of sector 0; behind it the protective entry that sfdisk has just made.
	{ dd if="${state}/pmbr" of="$1" bs=440 count=1 conv=notrunc && dd if="${state}/${boot_code}" of="$1" bs=1048576 seek=$((part_start / 1048576)) conv=notrunc; } 2>"${state}/dd.stderr" ||
		write_failed "boot code: $(tail -n 1 "${state}/dd.stderr")"
}

# Sets ${target_device} and ${target_start}: where the partition is, in MiB on the device.
platform_partition_at() {
	while read -r _at_index _at_type _at_label _at_start _at_rest; do
		[ "${_at_index}" -ne "$1" ] || target_start=$((_at_start / 1048576))
	done <"${state}/layout"
	target_device=${disk}
}

platform_flush() {
	dd if=/dev/null of="$1" count=0 conv=notrunc,fsync 2>/dev/null || return 1
	[ ! -b "$1" ] || blockdev --flushbufs "$1"
}

platform_check_table() {
	sfdisk --quiet --verify "$1" >"${state}/table.log" 2>&1
}

# From the disk, not from the cache, where the file system under the disk can do that.
platform_read() {
	if [ -z "${_read_flags+set}" ]; then
		_read_flags=
		! dd if="$1" of=/dev/null bs=1048576 count=1 iflag=direct 2>/dev/null || _read_flags=iflag=direct
	fi
	# shellcheck disable=SC2086 # one word or none
	dd if="$1" bs=1048576 skip="$2" count="$3" ${_read_flags} 2>/dev/null
}

# The tree's own modes mean nothing here; of several lines the last one counts.
platform_mode() {
	_mtree_path "${1#"${tree}"}"
	_mode_path=.${mtree_path} awk '
		$1 == ENVIRON["_mode_path"] { for (i = 2; i <= NF; i++) if ($i ~ /^mode=[0-7]+$/) mode = substr($i, 6) }
		END { mode = "000" (mode == "" ? "644" : mode); print substr(mode, length(mode) - 3) }' "${state}/spec"
}

platform_account_databases() {
	node "${worker}/pwd-mkdb.mjs" --directory "$1" 2>"${state}/pwd-mkdb.stderr" && return 0
	cat "${state}/pwd-mkdb.stderr" >&2
	_databases_said=$(grep '^pwd-mkdb: AccountInvalid: ' "${state}/pwd-mkdb.stderr" | tail -n 1) || :
	if [ -n "${_databases_said}" ]; then
		_databases_said=${_databases_said#pwd-mkdb: AccountInvalid: }
		fail AccountInvalid "${_databases_said%; *}" "${_databases_said##*; }"
	fi
	fail WorkerFailed "pwd-mkdb: $(grep -m 1 Error "${state}/pwd-mkdb.stderr" || tail -n 1 "${state}/pwd-mkdb.stderr")" \
		'report this as a defect of the worker'
}

platform_discard_tree() {
	discard "${tree}"
}

platform_power_off() {
	poweroff
}
