# configure: lays the job's files over the tree. A path is the job's and the tree is the release's: neither may lead out.

configure_check() { :; }

configure_run() {
	_configure_bytes=0
	_configure_n=0
	while [ "${_configure_n}" -lt "${job_files}" ]; do
		_configure_n=$((_configure_n + 1))
		job_get "file.${_configure_n}.path"
		_configure_path=${value}
		_configure_parent
		_configure_file
	done
	read -r _configure_entries <"${state}/entries"
	printf '%s\n' $((_configure_entries + job_files)) >"${state}/entries"
	phase_bytes "${_configure_bytes}"
}

# Walks down to the parent of ${_configure_path}, making what is missing; sets ${_configure_directory}, which has no
# symbolic link in it. One inside the tree is followed (FreeBSD's /home is one), one that leads out is refused.
_configure_parent() {
	_configure_directory=${tree:?}
	_configure_rest=${_configure_path#/}
	while :; do
		case ${_configure_rest} in
		*/*) ;;
		*) break ;;
		esac
		_configure_part=${_configure_rest%%/*}
		_configure_rest=${_configure_rest#*/}
		_configure_next=${_configure_directory}/${_configure_part}
		if [ -L "${_configure_next}" ]; then
			_configure_next=$(CDPATH='' cd -- "${_configure_next}" 2>/dev/null && pwd -P) || :
			case ${_configure_next}/ in
			"${tree}"/*) ;;
			*)
				fail BadJob "file.${_configure_n}.path leads out of the image: a parent of it is a symbolic link" \
					'name the place that the link stands for'
				;;
			esac
		elif [ ! -e "${_configure_next}" ]; then
			mkdir -- "${_configure_next}"
			platform_made directory "${_configure_next}" 0755 0 0
		elif [ ! -d "${_configure_next}" ]; then
			fail BadJob "file.${_configure_n}.path has a parent that is a file" 'choose another path'
		fi
		_configure_directory=${_configure_next}
	done
}

_configure_file() {
	_configure_target=${_configure_directory}/${_configure_rest}
	if [ -d "${_configure_target}" ] && [ ! -L "${_configure_target}" ]; then
		fail BadJob "file.${_configure_n}.path is a directory of the release" 'choose another path'
	fi
	job_get "file.${_configure_n}.mode"
	_configure_mode=${value}
	job_get "file.${_configure_n}.uid"
	_configure_uid=${value}
	job_get "file.${_configure_n}.gid"
	_configure_gid=${value}
	platform_base64_decode <"${state}/job/file.${_configure_n}.content" >"${state}/configure.content"
	_configure_bytes=$((_configure_bytes + $(size_of "${state}/configure.content")))
	# A new file in the place of the old name: writing into the old one would change what it is linked to.
	platform_unlock "${_configure_target}"
	rm -f -- "${_configure_target:?}"
	mv -- "${state}/configure.content" "${_configure_target}"
	platform_made file "${_configure_target}" "${_configure_mode}" "${_configure_uid}" "${_configure_gid}"
}

configure_undo() { :; }
