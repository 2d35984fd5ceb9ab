# Which parts of a file hold data. A hole was never written; a block that merely contains zeroes is data.
#
# FreeBSD's base has no tool that asks lseek(2) for SEEK_HOLE, except tar(1): archiving a sparse file in the pax format it
# puts a map in front of the data (GNU.sparse 1.0: the number of extents, then offset and size of each, one decimal number
# per line). The map is read, the rest thrown away. The same code serves both platforms.
#
# extents_of(file): prints lines `first count`, in units of 1 MiB, ascending, neither touching nor overlapping, that cover
#     all data of file. A file system that knows no holes yields one extent: the whole file.

# More extents than fit into this much of an archive are not worth telling apart; the file is then copied whole.
_extents_archive_limit=16777216

# size_of(file): its length. ls knows it without reading the file; stat(1) has other options on each platform.
size_of() {
	# shellcheck disable=SC2012 # only the fifth column is read, the name may be anything
	ls -lnL -- "$1" | awk '{ print $5; exit }'
}

extents_of() {
	_extents_size=$(size_of "$1")
	_extents_head=${state:?}/extents.archive
	# head closes the pipe early: what tar says about that is not an error. No name of ours needs the path.
	(cd -- "$(dirname -- "$1")" && platform_tar --format=pax --read-sparse -cf - "$(basename -- "$1")" 2>/dev/null || :) |
		head -c "${_extents_archive_limit}" >"${_extents_head}"
	_extents_map | awk -v size="${_extents_size}" '
		function data(from, to) {
			first = int(from / 1048576); last = int((to + 1048575) / 1048576)
			if (started && first <= end) { if (last > end) end = last; return }
			if (started) printf "%d %d\n", begin, end - begin
			begin = first; end = last; started = 1
		}
		NR == 1 { wanted = $1; next }
		NR % 2 == 0 { offset = $1; next }
		{ if ($1 > 0) data(offset, offset + $1); found++ }
		END {
			if (NR == 0 || found != wanted) { started = 0; if (size > 0) data(0, size) }
			if (started) printf "%d %d\n", begin, end - begin
		}'
	rm -f "${_extents_head:?}"
}

# _extents_octal(offset): the number in the 12-byte field of the header at offset (ustar, IEEE 1003.1 pax).
_extents_octal() {
	dd if="${_extents_head}" bs=1 skip="$1" count=12 2>/dev/null | tr -d '\0 ' | awk '
		{ for (i = 1; i <= length($0); i++) n = n * 8 + substr($0, i, 1) } END { printf "%d\n", n }'
}

# Prints the map's numbers, one per line; nothing if the archive has none.
_extents_map() {
	[ "$(dd if="${_extents_head}" bs=1 skip=156 count=1 2>/dev/null)" = x ] || return 0
	_extents_pax=$(_extents_octal 124)
	dd if="${_extents_head}" bs=512 skip=1 count=$(((_extents_pax + 511) / 512)) 2>/dev/null |
		grep -q 'GNU\.sparse\.major=1' || return 0
	# Behind the extended header, its content and the member's own header.
	dd if="${_extents_head}" bs=512 skip=$((2 + (_extents_pax + 511) / 512)) 2>/dev/null |
		awk 'NR == 1 { left = 2 * $1; print; next } left > 0 { print $1; left-- } left <= 0 { exit }'
}
