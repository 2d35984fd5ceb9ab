# configure: what the job lays over the tree: accounts, mount points, files, edits, the time zone.
#
# ${state}/placed has a line for each file, edit and mount point: where in the image it is, links followed. seal leaves those alone.

configure_check() { :; }

configure_run() {
	# Whoever owns a file may be made here.
	accounts_apply
	read -r _configure_entries <"${state}/entries"
	read -r _configure_bytes <"${state}/job.bytes"
	: >"${state}/placed"
	_configure_mounts
	_configure_files
	_configure_edits
	_configure_timezone
	printf '%s\n' "${_configure_entries}" >"${state}/entries"
	phase_bytes "${_configure_bytes}"
}

# _configure_target(path, key): sets ${_configure_target} to the place of path in the tree; its last part may be a link or missing.
_configure_target() {
	_configure_key=$2
	tree_place "$1" "$2" BadJob
	_configure_target=${tree_directory}/${tree_name}
}

# Where the data partitions will be mounted.
_configure_mounts() {
	while read -r _mount_index _mount_type _mount_label _mount_start _mount_size _mount_id _mount_content; do
		[ "${_mount_content}" = data ] || continue
		job_get "partition.${_mount_index}.mount"
		tree_place "${value}/." "partition.${_mount_index}.mount" BadJob
		printf '%s\n' "${tree_directory#"${tree}"}" >>"${state}/placed"
	done <"${state}/layout"
}

# Files that follow each other and are alike are handed over together: on FreeBSD that is three processes for many instead of
# three for each.
_configure_files() {
	set --
	_configure_mode=
	_configure_uid=
	_configure_gid=
	_configure_n=0
	while [ "${_configure_n}" -lt "${job_files}" ]; do
		_configure_n=$((_configure_n + 1))
		job_get "file.${_configure_n}.mode"
		_configure_attributes=${value}
		_configure_owner uid
		_configure_attributes="${_configure_attributes} ${value}"
		_configure_owner gid
		_configure_attributes="${_configure_attributes} ${value}"
		if [ "${_configure_attributes}" != "${_configure_mode} ${_configure_uid} ${_configure_gid}" ] || [ $# -ge 100 ]; then
			[ $# -eq 0 ] || platform_made_files "${_configure_mode}" "${_configure_uid}" "${_configure_gid}" "$@"
			set --
			_configure_mode=${_configure_attributes%% *}
			_configure_gid=${_configure_attributes##* }
			_configure_uid=${_configure_attributes#* }
			_configure_uid=${_configure_uid% *}
		fi
		job_get "file.${_configure_n}.path"
		_configure_target "${value}" "file.${_configure_n}.path"
		_configure_file
		printf '%s\n' "${_configure_target#"${tree}"}" >>"${state}/placed"
		set -- "$@" "${_configure_target}"
	done
	[ $# -eq 0 ] || platform_made_files "${_configure_mode}" "${_configure_uid}" "${_configure_gid}" "$@"
	_configure_entries=$((_configure_entries + job_files))
}

# Sets ${value} to the number of the owner (uid) or group (gid) of the file. A name is looked up once.
_configure_owner() {
	job_get "file.${_configure_n}.$1"
	case ${value} in
	[!0-9]*) ;;
	*) return 0 ;;
	esac
	_configure_name=${value}
	_configure_known=${state:?}/configure.$1.${_configure_name}
	if [ ! -e "${_configure_known}" ]; then
		"account_$1" "${_configure_name}" "file.${_configure_n}.$1" >"${_configure_known}"
	fi
	read -r value <"${_configure_known}"
}

# A new file in the place of the old name: writing into the old one would change what it is linked to.
_configure_file() {
	_configure_make_room
	if job_has "file.${_configure_n}.content"; then
		platform_base64_decode <"${state}/job/file.${_configure_n}.content" >"${_configure_target}"
	else
		_configure_bytes=$((_configure_bytes + $(size_of "${sets}/file.${_configure_n}")))
		mv -- "${sets}/file.${_configure_n}" "${_configure_target}"
	fi
}

_configure_make_room() {
	if [ -L "${_configure_target}" ] || [ -e "${_configure_target}" ]; then
		if [ -d "${_configure_target}" ] && [ ! -L "${_configure_target}" ]; then
			fail BadJob "${_configure_key} is a directory of the release" 'choose another path'
		fi
		platform_unlock "${_configure_target}"
		rm -f -- "${_configure_target:?}"
	fi
}

_configure_edits() {
	_configure_n=0
	while [ "${_configure_n}" -lt "${job_edits}" ]; do
		_configure_n=$((_configure_n + 1))
		job_get "edit.${_configure_n}.path"
		_configure_target "${value}" "edit.${_configure_n}.path"
		_configure_edit
		printf '%s\n' "${_configure_target#"${tree}"}" >>"${state}/placed"
	done
}

# The file keeps owner, mode, flags, time and every name it has: only its content changes, as under an editor.
_configure_edit() {
	_configure_part=${state}/job/edit.${_configure_n}
	if [ ! -e "${_configure_target}" ] && [ ! -L "${_configure_target}" ]; then
		{
			platform_base64_decode <"${_configure_part}.first"
			platform_base64_decode <"${_configure_part}.last"
		} >"${_configure_target}"
		platform_made file "${_configure_target}" 0644 0 0
		_configure_entries=$((_configure_entries + 1))
		return 0
	fi
	_configure_real_file
	_configure_commented >"${state}/configure.middle"
	platform_base64_decode <"${_configure_part}.last" >"${state}/configure.last"
	{
		platform_base64_decode <"${_configure_part}.first"
		cat -- "${state}/configure.middle"
		# A last line without an end would become one with the first that is added.
		if [ -s "${state}/configure.last" ] && [ -n "$(tail -c 1 "${state}/configure.middle" | tr '\0' x)" ]; then
			printf '\n'
		fi
		cat -- "${state}/configure.last"
	} >"${state}/configure.content"
	_configure_bytes=$((_configure_bytes + $(size_of "${state}/configure.content")))
	platform_rewrite "${_configure_target}" "${state}/configure.content"
}

# Follows the links at ${_configure_target} to a file.
_configure_real_file() {
	_configure_links=0
	while [ -L "${_configure_target}" ]; do
		_configure_links=$((_configure_links + 1))
		_configure_path=$(readlink "${_configure_target}")
		case ${_configure_path} in
		/*) ;;
		*) _configure_path=${tree_directory#"${tree}"}/${_configure_path} ;;
		esac
		[ "${_configure_links}" -lt "${tree_links}" ] || break
		_configure_target "${_configure_path}" "${_configure_key}"
	done
	if [ -L "${_configure_target}" ] || [ ! -f "${_configure_target}" ]; then
		fail BadJob "${_configure_key} is not a file in the image" 'choose another path'
	fi
}

# Prints ${_configure_target} with a # before each line whose first word is the job's; every other byte as it is, and a last
# line without an end stays one.
_configure_commented() {
	_configure_word=$(platform_base64_decode <"${_configure_part}.comment" | tr -d '\0')
	if [ -z "${_configure_word}" ]; then
		cat -- "${_configure_target}"
		return 0
	fi
	_configure_end=$(tail -c 1 -- "${_configure_target}" | tr '\0' x)
	# From the environment, where a backslash is one; with "" behind, since awk would hold 1 and 01 for equal.
	WORD=${_configure_word} OPEN=${_configure_end:+yes} awk '
		{ printf "%s%s%s", (NR > 1 ? "\n" : ""), ($1 "" == ENVIRON["WORD"] "" ? "#" : ""), $0 }
		END { if (NR > 0 && ENVIRON["OPEN"] == "") printf "\n" }' <"${_configure_target}"
}

# As tzsetup(8) does it: a copy, because /usr may not be there when /etc is read, readable and no more, and the name beside it
# for the next `tzsetup -r`.
_configure_timezone() {
	job_has timezone || return 0
	job_get timezone
	_configure_zone=${value}
	_configure_target "/usr/share/zoneinfo/${_configure_zone}" timezone
	_configure_real_file
	_configure_source=${_configure_target}
	_configure_target /etc/localtime timezone
	_configure_make_room
	cat -- "${_configure_source}" >"${_configure_target}"
	platform_made file "${_configure_target}" 0444 0 0
	_configure_target /var/db/zoneinfo timezone
	_configure_make_room
	printf '%s\n' "${_configure_zone}" >"${_configure_target}"
	platform_made file "${_configure_target}" 0644 0 0
	_configure_entries=$((_configure_entries + 2))
}

configure_undo() { :; }
