# The job: lines `key=value`. Nothing in it is ever evaluated: each value becomes a file of its own, named by its key.
#
# job_load(file): splits the job into ${state}/job, checks every value and sets the job_… variables. Prints nothing;
#     fails with BadJob that names every key that is wrong.
# job_get(key): sets ${value}.

# read -r keeps backslashes, an empty IFS keeps blanks: the value is exactly the bytes after the first '='.
job_get() {
	IFS= read -r value <"${state:?}/job/$1"
}

_job_problem() {
	_job_problems="${_job_problems}${_job_problems:+; }$1"
}

# A number without sign or leading zero: $(( )) would read 010 as eight.
_job_is_number() {
	case $1 in
	'' | *[!0-9]* | 0?*) return 1 ;;
	esac
	[ "${#1}" -le 15 ]
}

_job_is_hex() {
	case $1 in
	*[!0-9a-f]*) return 1 ;;
	esac
	[ "${#1}" -eq "$2" ]
}

_job_is_uuid() {
	case $1 in
	*[!0-9a-fA-F-]*) return 1 ;;
	????????-????-????-????-????????????) ;;
	*) return 1 ;;
	esac
	case $(printf '%s' "$1" | tr -d -) in
	????????????????????????????????) ;;
	*) return 1 ;;
	esac
}

# Names go into file names, GPT labels and console lines.
_job_is_name() {
	case $1 in
	'' | [-.]* | *[!A-Za-z0-9._-]*) return 1 ;;
	esac
	[ "${#1}" -le "$2" ]
}

_job_is_url() {
	case $1 in
	*[!A-Za-z0-9:/?'&'=%._~+,@-]* | */) return 1 ;;
	http://?* | https://?*) ;;
	*) return 1 ;;
	esac
}

# An absolute path of a file in which every component stands for itself.
_job_is_path() {
	case $1 in
	/*[!/]) ;;
	*) return 1 ;;
	esac
	case $1/ in
	*//* | */./* | */../*) return 1 ;;
	esac
	[ "${#1}" -le 1023 ]
}

_job_is_base64() {
	case $1 in
	*[!A-Za-z0-9+/=]* | *=[!=]* | *===) return 1 ;;
	esac
	[ $((${#1} % 4)) -eq 0 ]
}

_job_is_one_of() {
	case $1 in
	'' | *' '*) return 1 ;;
	esac
	case " $2 " in
	*" $1 "*) ;;
	*) return 1 ;;
	esac
}

# _job_check(key, kind, argument): a value that is missing or of another kind is a problem; ${value} is '' then.
_job_check() {
	_job_known="${_job_known} $1"
	value=
	if [ ! -e "${state}/job/$1" ]; then
		_job_problem "$1 is missing"
		return 0
	fi
	job_get "$1"
	case $2 in
	number) _job_is_number "${value}" && return 0 ;;
	hex) _job_is_hex "${value}" "$3" && return 0 ;;
	uuid) _job_is_uuid "${value}" && return 0 ;;
	name) _job_is_name "${value}" "$3" && return 0 ;;
	url) _job_is_url "${value}" && return 0 ;;
	path) _job_is_path "${value}" && return 0 ;;
	base64) _job_is_base64 "${value}" && return 0 ;;
	mode) case ${value} in 0[0-7][0-7][0-7] | [1-7][0-7][0-7][0-7]) return 0 ;; esac ;;
	one-of) _job_is_one_of "${value}" "$3" && return 0 ;;
	esac
	value=
	_job_problem "$1 is not ${4:-a valid $2}"
}

# A count that is wrong must not make a loop of a billion rounds.
_job_count() {
	_job_check "$1" number
	if [ -n "${value}" ] && { [ "${value}" -gt "$3" ] || [ "${value}" -lt "$2" ]; }; then
		_job_problem "$1 is not between $2 and $3"
		value=
	fi
	value=${value:-0}
}

_job_split() {
	_job_line=0
	while IFS= read -r _job_text || [ -n "${_job_text}" ]; do
		_job_line=$((_job_line + 1))
		_job_key=${_job_text%%=*}
		case ${_job_text} in
		*=*) ;;
		*)
			_job_problem "line ${_job_line} is not key=value"
			continue
			;;
		esac
		case ${_job_key} in
		'' | *[!a-z0-9.]* | .* | *.)
			# %.40s: a key that is not one may be any text of any length.
			_job_problem "unknown key $(printf '%.40s' "${_job_key}" | tr -c 'A-Za-z0-9._-' '?') in line ${_job_line}"
			continue
			;;
		esac
		if [ -e "${state:?}/job/${_job_key}" ]; then
			_job_problem "${_job_key} is there twice"
			continue
		fi
		printf '%s\n' "${_job_text#*=}" >"${state:?}/job/${_job_key}"
	done <"$1"
}

job_load() {
	_job_problems=
	_job_known=
	mkdir "${state:?}/job"
	if [ ! -r "$1" ]; then
		fail BadJob "the job $1 cannot be read" 'give --job a readable file'
	fi
	_job_split "$1"

	# First what the report and the power-off need, so that they are right for a job that is otherwise wrong.
	_job_check build name 128
	job_build=${value:-${job_build}}
	_job_check linger number
	job_linger=${value:-${job_linger}}

	_job_check version one-of 1 '1, the only version this worker knows'
	_job_check deadline number
	job_deadline=${value:-0}
	_job_check release name 64
	_job_check architecture one-of 'amd64 arm64' 'amd64 or arm64'
	job_architecture=${value}
	_job_check filesystem one-of 'ufs zfs' 'ufs or zfs'
	job_filesystem=${value}
	_job_check timestamp number
	job_timestamp=${value}
	_job_check filesystem.id hex 16 '16 hex digits'
	job_filesystem_id=${value}
	_job_check disk.size number
	job_disk_size=${value:-0}
	_job_check disk.id uuid
	job_disk_id=${value}

	_job_count mirror.count 1 64
	job_mirrors=${value}
	_job_n=0
	while [ "${_job_n}" -lt "${job_mirrors}" ]; do
		_job_n=$((_job_n + 1))
		_job_check "mirror.${_job_n}" url '' 'an http or https URL without a slash at the end'
	done

	_job_count set.count 1 64
	job_sets=${value}
	_job_n=0
	while [ "${_job_n}" -lt "${job_sets}" ]; do
		_job_n=$((_job_n + 1))
		_job_check "set.${_job_n}.name" name 64
		_job_check "set.${_job_n}.file" name 128
		case ${value} in
		'' | ?*.txz) ;;
		*) _job_problem "set.${_job_n}.file is not a .txz file" ;;
		esac
		_job_check "set.${_job_n}.sha256" hex 64 '64 hex digits'
		_job_check "set.${_job_n}.entries" number
	done

	_job_count file.count 0 4096
	job_files=${value}
	_job_n=0
	while [ "${_job_n}" -lt "${job_files}" ]; do
		_job_n=$((_job_n + 1))
		_job_check "file.${_job_n}.path" path '' 'an absolute path without . and .. in it'
		_job_check "file.${_job_n}.mode" mode '' 'four octal digits'
		_job_check "file.${_job_n}.uid" number
		_job_check "file.${_job_n}.gid" number
		_job_check "file.${_job_n}.content" base64
	done

	_job_count partition.count 1 16
	job_partitions=${value}
	_job_n=0
	while [ "${_job_n}" -lt "${job_partitions}" ]; do
		_job_n=$((_job_n + 1))
		_job_check "partition.${_job_n}.type" one-of 'freebsd-boot efi freebsd-ufs' 'freebsd-boot, efi or freebsd-ufs'
		_job_check "partition.${_job_n}.label" name 36
		_job_check "partition.${_job_n}.size" number
		_job_check "partition.${_job_n}.id" uuid
	done

	# The shell expands the pattern in order: every file that no check asked for is a key that nobody knows.
	for _job_file in "${state}/job"/*; do
		_job_key=${_job_file##*/}
		case "${_job_known} " in
		*" ${_job_key} "*) ;;
		*'*'*) ;;
		*) _job_problem "unknown key $(printf '%.40s' "${_job_key}")" ;;
		esac
	done
	if [ -n "${_job_problems}" ]; then
		fail BadJob "the job is not valid: ${_job_problems}" 'the factory and the worker must be of one version; report this job'
	fi
	_job_layout
}

# Where each partition begins and ends, in MiB-aligned bytes: ${state}/layout has a line `index type label start size id`
# for each. All starts are aligned to 1 MiB, and the last MiB of the disk is left to the backup of the table.
_job_layout() {
	_layout_next=1048576
	_layout_end=$(((job_disk_size / 1048576 - 1) * 1048576))
	_layout_types=' '
	_job_n=0
	while [ "${_job_n}" -lt "${job_partitions}" ]; do
		_job_n=$((_job_n + 1))
		job_get "partition.${_job_n}.type"
		_layout_type=${value}
		job_get "partition.${_job_n}.label"
		_layout_label=${value}
		job_get "partition.${_job_n}.size"
		_layout_size=${value}
		job_get "partition.${_job_n}.id"
		if [ "${_layout_size}" -eq 0 ]; then
			_layout_size=$((_layout_end - _layout_next))
			[ "${_job_n}" -eq "${job_partitions}" ] || _job_problem "partition.${_job_n}.size is 0, and it is not the last"
		fi
		[ $((_layout_size % 4096)) -eq 0 ] || _job_problem "partition.${_job_n}.size is no multiple of 4096"
		if [ "${_layout_size}" -le 0 ] || [ $((_layout_next + _layout_size)) -gt "${_layout_end}" ]; then
			_job_problem "partition.${_job_n}.size does not fit into disk.size"
		fi
		case ${_layout_types} in
		*" ${_layout_type} "*) _job_problem "partition.${_job_n}.type is there twice" ;;
		esac
		_layout_types="${_layout_types}${_layout_type} "
		printf '%s %s %s %s %s %s\n' "${_job_n}" "${_layout_type}" "${_layout_label}" "${_layout_next}" "${_layout_size}" "${value}"
		_layout_next=$(((_layout_next + _layout_size + 1048575) / 1048576 * 1048576))
	done >"${state}/layout"
	case ${_layout_types} in
	*' freebsd-ufs '*) ;;
	*) _job_problem 'no partition has the type freebsd-ufs' ;;
	esac
	case ${job_architecture}${_layout_types} in
	arm64*' freebsd-boot '*) _job_problem 'partition.type freebsd-boot is BIOS boot code, which arm64 does not have' ;;
	esac
	if [ -n "${_job_problems}" ]; then
		fail BadJob "the job is not valid: ${_job_problems}" 'the factory and the worker must be of one version; report this job'
	fi
}

# layout_of(type): sets part_index part_label part_start part_size part_id; false if the disk has no such partition.
layout_of() {
	part_index=
	while read -r _layout_index _layout_kind part_label part_start part_size part_id; do
		[ "${_layout_kind}" = "$1" ] || continue
		part_index=${_layout_index}
		return 0
	done <"${state}/layout"
	return 1
}
