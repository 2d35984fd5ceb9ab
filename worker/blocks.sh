# The disk as blocks of 512 KiB for a snapshot that is written without a volume. Only blocks that something wrote into are sent: an
# encrypted snapshot reads as noise wherever no block was put, so what a file system wrote counts and never what looks like zeroes.
#
# The blocks, in the order of their index, are cut into pieces of at most 256 (128 MiB); each goes to a presigned URL of its own. A piece
# is the one temporary file there is.
#
# blocks_cut: makes ${state}/blocks.runs of ${state}/ranges, a line for blocks that follow each other in disk and file:
#     `piece block count skip bytes file`, skip in blocks, bytes what the file has of them; the rest of the last block is zeroes.
# blocks_send: puts every piece, and makes ${state}/blocks.index.
# blocks_verify: makes every piece anew and compares; fails with VerifyFailed.
#
# The index is text: `version 1`, `disk BYTES`, then for each piece `piece N SHA256 FIRST-LAST,FIRST-LAST…`, indices of blocks.

blocks_in_piece=256

blocks_cut() {
	{
		sed 's/^/layout /' "${state}/layout"
		sed 's/^/range /' "${state}/ranges"
	} | awk -v disk="${disk}" -v size="${job_disk_size}" -v most="${blocks_in_piece}" '
		# What of a run goes beyond the end of a piece begins the next.
		function run(block, count, skip, bytes, file,   now, has) {
			while (count > 0) {
				if (filled == most || !piece) { piece++; filled = 0 }
				now = most - filled
				if (count < now) now = count
				has = now * 524288
				if (bytes < has) has = bytes
				printf "%d %d %d %d %.0f %s\n", piece, block, now, skip, has, file
				filled += now; block += now; skip += now; count -= now; bytes -= now * 524288
			}
		}
		$1 == "layout" { start[$2] = $5; next }
		# The table: the protective entry, boot code and the table itself in the first block, its backup in the last.
		!begun { begun = 1; run(0, 1, 0, 524288, disk) }
		{ run(start[$2] / 524288 + $3 * 2, int(($4 + 524287) / 524288), $3 * 2, $4, $5) }
		END { run(size / 524288 - 1, 1, size / 524288 - 1, 524288, disk) }' >"${state}/blocks.runs"
	job_get upload.blocks.count
	_blocks_pieces=$(awk 'END { print $1 }' "${state}/blocks.runs")
	[ "${_blocks_pieces}" -le "${value}" ] ||
		fail ImageTooLarge "the image has data for ${_blocks_pieces} pieces of 128 MiB, and the road without a volume takes ${value}" \
			'leave something out of the image, or take the road over a volume: image.road unix'
}

# _blocks_piece(piece): its bytes.
_blocks_piece() {
	while read -r _piece_number _piece_block _piece_count _piece_skip _piece_bytes _piece_file; do
		[ "${_piece_number}" -eq "$1" ] || continue
		dd if="${_piece_file}" bs=524288 skip="${_piece_skip}" count="${_piece_count}" 2>/dev/null
		[ "${_piece_bytes}" -eq $((_piece_count * 524288)) ] || head -c $((_piece_count * 524288 - _piece_bytes)) /dev/zero
	done <"${state}/blocks.runs"
}

blocks_send() {
	printf 'version 1\ndisk %s\n' "${job_disk_size}" >"${state}/blocks.index"
	_send_number=0
	_send_done=0
	while [ "${_send_number}" -lt "${_blocks_pieces}" ]; do
		_send_number=$((_send_number + 1))
		_blocks_piece "${_send_number}" >"${state}/piece"
		_send_bytes=$(size_of "${state}/piece")
		_send_wanted=$(awk -v piece="${_send_number}" '$1 == piece { sum += $3 } END { printf "%.0f", sum * 524288 }' "${state}/blocks.runs")
		[ "${_send_bytes}" = "${_send_wanted}" ] ||
			write_failed "piece ${_send_number} has ${_send_bytes} bytes, not ${_send_wanted}: the worker is out of disk space"
		_send_sha256=$(platform_sha256 <"${state}/piece")
		upload_file "upload.blocks.${_send_number}" "${state}/piece" "piece ${_send_number} of the disk"
		rm -f "${state:?}/piece"
		printf 'piece %s %s %s\n' "${_send_number}" "${_send_sha256}" "$(_blocks_of_piece "${_send_number}")" >>"${state}/blocks.index"
		_send_done=$((_send_done + _send_bytes))
		printf '%s\n' "${_send_done}" >"${state}/write.count"
	done
}

# _blocks_of_piece(piece): its blocks as ranges.
_blocks_of_piece() {
	awk -v piece="$1" '
		$1 != piece { next }
		said && $2 == next_block { last = next_block = $2 + $3; next }
		{ if (said) printf "%s%d-%d", comma, first, last - 1; if (said) comma = ","; said = 1; first = $2; last = next_block = $2 + $3 }
		END { printf "%s%d-%d\n", comma, first, last - 1 }' "${state}/blocks.runs"
}

blocks_verify() {
	_verify_done=0
	while read -r _verify_word _verify_number _verify_wanted _verify_blocks; do
		[ "${_verify_word}" = piece ] || continue
		_verify_sha256=$(_blocks_piece "${_verify_number}" | platform_sha256)
		[ "${_verify_sha256}" = "${_verify_wanted}" ] ||
			fail VerifyFailed "piece ${_verify_number} of the disk was sent with SHA-256 ${_verify_wanted} and has ${_verify_sha256} now" \
				'the disk of the worker is not to be trusted: build again'
		_verify_done=$((_verify_done + blocks_in_piece * 524288))
		printf '%s\n' "${_verify_done}" >"${state}/verify.count"
	done <"${state}/blocks.index"
}
