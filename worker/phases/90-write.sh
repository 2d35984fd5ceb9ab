# write: the partition table and boot code, then the parts of the images that hold data. A fresh volume reads as zeroes, and
# so does a hole: only holes are skipped, never blocks that merely contain zeroes. Without a volume the same parts are sent as blocks
# (blocks.sh).
#
# ${state}/ranges has a line for each part written: `partition offset bytes file`, offset in MiB within partition and file.
# ${state}/written: bytes, and the SHA-256 over all parts in that order, as the files have them.

write_check() { :; }

write_run() {
	read -r disk <"${state}/disk"
	: >"${state}/ranges"
	_write_boot_code
	platform_partition "${disk}"
	_write_n=0
	while [ "${_write_n}" -lt "${job_partitions}" ]; do
		_write_n=$((_write_n + 1))
		layout_at "${_write_n}"
		# Boot code is written by the platform, and swap needs none of its blocks to be anything.
		case ${part_content} in
		efi) _write_ranges "${images}/esp.img" ;;
		data) _write_ranges "${images}/${part_index}.img" ;;
		root) _write_ranges "${images}/root.img" ;;
		esac
	done
	_write_total=$(awk '{ sum += $3 } END { printf "%.0f", sum }' "${state}/ranges")
	printf '0\n' >"${state}/write.count"
	progress_of count "${state}/write.count" "${_write_total}"

	# Hashed beside the copying: the cache serves the second reader, and dd stays a plain copy from file to disk.
	(_write_source | platform_sha256 >"${state}/write.sha256") &
	_write_hash=$!
	if job_has upload.blocks.count; then
		blocks_cut
		blocks_send
	else
		_write_disk
	fi
	wait "${_write_hash}"
	read -r _write_sha256 <"${state}/write.sha256"
	printf '%s %s\n' "${_write_total}" "${_write_sha256}" >"${state}/written"
	phase_bytes "${_write_total}"
}

_write_disk() {
	_write_done=0
	while read -r _write_index _write_offset _write_bytes _write_file; do
		platform_partition_at "${_write_index}"
		if [ "${_write_file}" != "${state}/${boot_code}" ]; then
			dd if="${_write_file}" of="${target_device}" bs=1048576 skip="${_write_offset}" \
				seek=$((target_start + _write_offset)) count=$(((_write_bytes + 1048575) / 1048576)) conv=notrunc 2>"${state}/dd.stderr" ||
				write_failed "$(tail -n 1 "${state}/dd.stderr")"
		fi
		_write_done=$((_write_done + _write_bytes))
		printf '%s\n' "${_write_done}" >"${state}/write.count"
	done <"${state}/ranges"
	platform_flush "${disk}" || write_failed 'the data could not be flushed'
}

# The loader that BIOS starts lies in a partition of its own, without a file system. It is the target's, not the worker's.
# gptboot(8) reads UFS, gptzfsboot(8) ZFS.
_write_boot_code() {
	case ${job_filesystem} in
	ufs) boot_code=gptboot ;;
	zfs) boot_code=gptzfsboot ;;
	esac
	layout_of boot || return 0
	for _write_file in pmbr "${boot_code}"; do
		[ -f "${tree}/boot/${_write_file}" ] || fail LoaderMissing "boot/${_write_file} is not in the release" 'the sets must contain base'
		cp -- "${tree}/boot/${_write_file}" "${state}/${_write_file}"
	done
	_write_bytes=$(size_of "${state}/${boot_code}")
	if [ "${_write_bytes}" -gt "${part_size}" ]; then
		fail WriteFailed "${boot_code} has ${_write_bytes} bytes, its partition ${part_size}" 'make the freebsd-boot partition larger'
	fi
	printf '%s 0 %s %s\n' "${part_index}" "${_write_bytes}" "${state}/${boot_code}" >>"${state}/ranges"
}

# _write_ranges(file): the parts of it that hold data, for the partition of layout_at.
_write_ranges() {
	_write_size=$(size_of "$1")
	extents_of "$1" >"${state}/extents"
	awk -v part="${part_index}" -v size="${_write_size}" -v file="$1" '{
		bytes = $2 * 1048576
		if (($1 + $2) * 1048576 > size) bytes = size - $1 * 1048576
		printf "%d %d %.0f %s\n", part, $1, bytes, file
	}' "${state}/extents" >>"${state}/ranges"
}

_write_source() {
	while read -r _source_index _source_offset _source_bytes _source_file; do
		dd if="${_source_file}" bs=1048576 skip="${_source_offset}" count=$(((_source_bytes + 1048575) / 1048576)) 2>/dev/null |
			head -c "${_source_bytes}"
	done <"${state}/ranges"
}

# write_failed(message): also for the platform layers.
write_failed() {
	fail WriteFailed "$1" 'the volume may have been detached; the lines above tell what the tool said'
}

write_undo() { :; }
