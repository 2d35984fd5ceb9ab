# verify: reads everything back from the disk and lets go of it. Of blocks that were sent nothing can be read back: they are made a second
# time and compared, and whoever takes them compares what has arrived with the index, which goes up last.

verify_check() { :; }

verify_run() {
	read -r disk <"${state}/disk"
	read -r _verify_total _verify_wanted <"${state}/written"
	platform_check_table "${disk}" || fail VerifyFailed 'the partition table on the disk is not the one written' 'try again with a new volume'
	printf '0\n' >"${state}/verify.count"
	progress_of count "${state}/verify.count" "${_verify_total}"
	if job_has upload.blocks.count; then
		blocks_verify
		upload_file upload.index "${state}/blocks.index" 'the index of the disk'
	else
		_verify_disk
	fi
	platform_release
	phase_bytes "${_verify_total}"
}

_verify_disk() {
	_verify_sha256=$(_verify_target | platform_sha256)
	if [ "${_verify_sha256}" != "${_verify_wanted}" ]; then
		fail VerifyFailed "the disk has SHA-256 ${_verify_sha256} over the ${_verify_total} bytes written, the image ${_verify_wanted}" \
			'try again with a new volume'
	fi
}

_verify_target() {
	_verify_done=0
	while read -r _verify_index _verify_offset _verify_bytes _verify_file; do
		platform_partition_at "${_verify_index}"
		platform_read "${target_device}" $((target_start + _verify_offset)) $(((_verify_bytes + 1048575) / 1048576)) |
			head -c "${_verify_bytes}"
		_verify_done=$((_verify_done + _verify_bytes))
		printf '%s\n' "${_verify_done}" >"${state}/verify.count"
	done <"${state}/ranges"
}

verify_undo() { :; }
