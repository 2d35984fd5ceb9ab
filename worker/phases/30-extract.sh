# extract: the sets into the staging tree, each only after fetch has verified it.

extract_check() {
	need_tool xz "${package_xz}"
}

extract_run() {
	mkdir "${tree:?}"
	# The root itself is an entry of base; without sets it is whatever packages come into.
	[ "${job_sets}" -gt 0 ] || platform_made directory "${tree}" 0755 0 0
	_extract_space
	_extract_total=0
	_extract_n=0
	while [ "${_extract_n}" -lt "${job_sets}" ]; do
		_extract_n=$((_extract_n + 1))
		job_get "set.${_extract_n}.name"
		_extract_name=${value}
		job_get "set.${_extract_n}.entries"
		_extract_expected=${value}
		platform_extract "${sets}/${_extract_n}.txz" "${_extract_n}"
		# -v writes a line for each entry; what else stands there, tar has to say.
		_extract_entries=$(grep -c '^x ' "${state}/extract.list") || :
		# 0: nobody has counted them.
		if [ "${_extract_expected}" -ne 0 ] && [ "${_extract_entries}" -ne "${_extract_expected}" ]; then
			fail ExtractFailed "${_extract_name} has ${_extract_entries} entries, the MANIFEST says ${_extract_expected}" \
				'MANIFEST and set are of different builds: name another mirror'
		fi
		_extract_total=$((_extract_total + _extract_entries))
		# It has done its part; the image needs the room.
		rm -f "${sets:?}/${_extract_n}.txz"
	done
	printf '%s\n' "${_extract_total}" >"${state}/entries"
	phase_bytes "${_extract_bytes}"
}

# Room for the tree and for the file system made of it, known from the archives' own indexes.
_extract_space() {
	_extract_bytes=$(xz --robot --list -- "${sets}"/*.txz 2>/dev/null | awk '$1 == "totals" { printf "%.0f", $5 }')
	_extract_bytes=${_extract_bytes:-0}
	progress_of tree "${tree}" "${_extract_bytes}"
	_extract_needed=$((_extract_bytes / 1024 * 2))
	_extract_free=$(df -kP -- "${work}" | awk 'NR == 2 { print $4 }')
	if [ "${_extract_free}" -lt "${_extract_needed}" ]; then
		fail WorkerFailed "${work} has ${_extract_free} KiB free, tree and file system need ${_extract_needed}" \
			'give the worker a larger root volume'
	fi
}

# extract_failed(what): for the platform layers, with the tool's own words.
extract_failed() {
	fail ExtractFailed "$1 of ${_extract_name} failed: $(grep -v '^x [^:]*$' "${state}/extract.list" | tail -n 3 | tr '\n' ' ')" \
		'the archive is damaged or the disk is full; the lines above tell which'
}

extract_undo() {
	[ ! -d "${tree:?}" ] || platform_discard_tree
}
