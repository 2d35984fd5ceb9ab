# Groups and users of the job, in the tree's own account files. accounts.awk decides what a line becomes.
#
# accounts_apply(): makes and changes groups and users (keys group.* and user.*) in etc/group and etc/master.passwd; makes
#     home directories with the release's skeleton, and authorized_keys. Fails with AccountInvalid that names every wrong key.
#     An empty value is not given: a new account then gets pw(8)'s default, an old one keeps what it has. For an old one the
#     recipe's defaults (/home/NAME, /bin/sh, *, a group of its own name) are not given either. Supplementary groups are added,
#     none is left. A home directory that is there already stays as it is.
# accounts_seal(): hides an empty password of a uid 0 account, then makes passwd, pwd.db and spwd.db. Nothing to do in a
#     tree without etc/master.passwd.
# account_uid(name or number, key), account_gid(…): print the number. For a name that is not there: fail with AccountInvalid
#     that names the key, or return false when no key is given.
#
# The new lines are not in etc/passwd before accounts_seal: look them up here.

accounts_apply() {
	_accounts_count group.count
	_accounts_groups=${value}
	_accounts_count user.count
	_accounts_users=${value}
	[ $((_accounts_groups + _accounts_users)) -gt 0 ] || return 0
	if ! _accounts_readable group || ! _accounts_readable master.passwd; then
		fail AccountInvalid 'group.count and user.count are not 0, but the image has no etc/group or etc/master.passwd' \
			'the set "base", or the packages of the base system, have them'
	fi
	_accounts_tables
	for _accounts_file in problems homes group passwd; do
		: >"${state}/accounts.${_accounts_file}"
	done
	accounts_group=${state}/accounts.group accounts_passwd=${state}/accounts.passwd accounts_homes=${state}/accounts.homes \
		accounts_problems=${state}/accounts.problems awk -f "${worker}/accounts.awk" \
		kind=group "${tree}/etc/group" kind=passwd "${tree}/etc/master.passwd" \
		kind=groups "${state}/accounts.groups" kind=users "${state}/accounts.users"
	_accounts_refuse
	_accounts_replace "${state}/accounts.group" group 0644
	_accounts_replace "${state}/accounts.passwd" master.passwd 0600
	while IFS='	' read -r _accounts_n _accounts_name _accounts_uid _accounts_gid _accounts_make _accounts_home; do
		_accounts_get "user.${_accounts_n}.keys"
		[ "${_accounts_make}" = make ] || [ -n "${value}" ] || continue
		_accounts_make_home
		_accounts_make_keys
	done <"${state}/accounts.homes"
}

accounts_seal() {
	_accounts_readable master.passwd || return 0
	awk 'BEGIN { FS = OFS = ":" } !/^[ \t]*#/ && NF == 10 && $3 ~ /^0+$/ && $2 == "" { $2 = "*" } { print }' \
		"${tree}/etc/master.passwd" >"${state}/accounts.passwd"
	_accounts_replace "${state}/accounts.passwd" master.passwd 0600
	for _accounts_file in passwd pwd.db spwd.db; do
		platform_unlock "${tree}/etc/${_accounts_file}"
	done
	platform_account_databases "${tree}/etc"
	platform_made_files 0644 0 0 "${tree}/etc/passwd" "${tree}/etc/pwd.db"
	platform_made file "${tree}/etc/spwd.db" 0600 0 0
}

account_uid() {
	_accounts_number "$1" "${2:-}" user master.passwd
}

account_gid() {
	_accounts_number "$1" "${2:-}" group group
}

_accounts_number() {
	case $1 in
	'' | *[!0-9]*) ;;
	*)
		printf '%s\n' "$1"
		return 0
		;;
	esac
	_accounts_found=
	if _accounts_readable "$4"; then
		_accounts_found=$(account=$1 awk -F : '$1 "" == ENVIRON["account"] "" { print $3; exit }' "${tree}/etc/$4")
	fi
	if [ -z "${_accounts_found}" ]; then
		[ -n "$2" ] || return 1
		fail AccountInvalid "$2 names the $3 $1, which the image does not have" \
			"make the $3 in the recipe, install the package that brings it, or give a number"
	fi
	printf '%s\n' "${_accounts_found}"
}

# A file of the tree's etc, not one that a link leads to.
_accounts_readable() {
	[ ! -L "${tree:?}/etc" ] && [ ! -L "${tree}/etc/$1" ] && [ -f "${tree}/etc/$1" ]
}

# A new file in the place of the old name: writing into the old one would change what it is linked to.
_accounts_replace() {
	platform_unlock "${tree}/etc/$2"
	rm -f "${tree:?}/etc/$2"
	mv "$1" "${tree}/etc/$2"
	platform_made file "${tree}/etc/$2" "$3" 0 0
}

# A key of the job, '' if it is not there.
_accounts_get() {
	value=
	[ ! -e "${state}/job/$1" ] || job_get "$1"
}

_accounts_count() {
	_accounts_get "$1"
	value=${value:-0}
}

_accounts_problem() {
	printf '%s %s\n' "$1" "$2" >>"${state}/accounts.problems"
}

_accounts_refuse() {
	[ -s "${state}/accounts.problems" ] || return 0
	fail AccountInvalid "$(awk '{ printf "%s%s", (NR > 1 ? "; " : ""), $0 }' "${state}/accounts.problems")" \
		'change these accounts of the recipe'
}

# _accounts_cell(key, text): the end of a row's cell. The tables are lines of cells, so neither may be within one.
_accounts_cell() {
	case $2 in
	*[[:cntrl:]]*) _accounts_problem "$1" 'has a control character' ;;
	*) printf '\t%s' "$2" >&3 ;;
	esac
}

_accounts_plain_cell() {
	_accounts_get "$1"
	_accounts_cell "$1" "${value}"
}

# _accounts_decode(characters): decodes ${value} into ${state}/accounts.value; sets ${_accounts_bad} to how many of the characters
# it has. $( ) takes line ends and NUL away, so the file is asked.
_accounts_decode() {
	printf '%s' "${value}" | platform_base64_decode >"${state}/accounts.value"
	_accounts_bad=$(tr -dc "$1" <"${state}/accounts.value" | wc -c | tr -d ' ')
}

_accounts_decoded_cell() {
	_accounts_get "$1"
	_accounts_decode '\000-\037\177'
	if [ "${_accounts_bad}" -gt 0 ]; then
		_accounts_problem "$1" 'has a control character'
		return 0
	fi
	_accounts_cell "$1" "$(cat "${state}/accounts.value")"
}

_accounts_tables() {
	: >"${state}/accounts.problems"
	_accounts_n=0
	while [ "${_accounts_n}" -lt "${_accounts_groups}" ]; do
		_accounts_n=$((_accounts_n + 1))
		printf '%s' "${_accounts_n}" >&3
		_accounts_plain_cell "group.${_accounts_n}.name"
		_accounts_plain_cell "group.${_accounts_n}.gid"
		printf '\n' >&3
	done 3>"${state}/accounts.groups"
	_accounts_n=0
	while [ "${_accounts_n}" -lt "${_accounts_users}" ]; do
		_accounts_n=$((_accounts_n + 1))
		printf '%s' "${_accounts_n}" >&3
		_accounts_plain_cell "user.${_accounts_n}.name"
		_accounts_plain_cell "user.${_accounts_n}.uid"
		_accounts_plain_cell "user.${_accounts_n}.group"
		_accounts_plain_cell "user.${_accounts_n}.groups"
		_accounts_decoded_cell "user.${_accounts_n}.comment"
		_accounts_plain_cell "user.${_accounts_n}.home"
		_accounts_plain_cell "user.${_accounts_n}.shell"
		_accounts_decoded_cell "user.${_accounts_n}.password"
		printf '\n' >&3
	done 3>"${state}/accounts.users"
	_accounts_refuse
}

# Sets ${_accounts_directory} to where the home directory is in the tree, or to nothing for a user without one. As adduser(8)
# and pw(8) -m: 0755, the user's, with the skeleton in it.
_accounts_make_home() {
	_accounts_directory=
	[ "${_accounts_home}" != /nonexistent ] && [ "${_accounts_home}" != / ] && [ -n "${_accounts_home}" ] || return 0
	tree_place "${_accounts_home}" "user.${_accounts_n}.home" AccountInvalid
	_accounts_directory=${tree_directory}/${tree_name}
	if [ -L "${_accounts_directory}" ]; then
		tree_place "${_accounts_home}/." "user.${_accounts_n}.home" AccountInvalid
		_accounts_directory=${tree_directory}
		return 0
	fi
	if [ -e "${_accounts_directory}" ]; then
		[ -d "${_accounts_directory}" ] ||
			fail AccountInvalid "user.${_accounts_n}.home is a file of the image" 'choose another home directory'
		return 0
	fi
	mkdir "${_accounts_directory}"
	platform_made directory "${_accounts_directory}" 0755 "${_accounts_uid}" "${_accounts_gid}"
	_accounts_skeleton=${tree}/usr/share/skel
	for _accounts_part in usr usr/share usr/share/skel; do
		[ ! -L "${tree}/${_accounts_part}" ] || return 0
	done
	for _accounts_file in "${_accounts_skeleton}"/*; do
		# The pattern itself when there is no skeleton.
		[ -f "${_accounts_file}" ] && [ ! -L "${_accounts_file}" ] || continue
		_accounts_copy=${_accounts_file##*/}
		case ${_accounts_copy} in
		dot.*) _accounts_copy=${_accounts_copy#dot} ;;
		esac
		_accounts_mode=$(platform_mode "${_accounts_file}")
		cp "${_accounts_file}" "${_accounts_directory}/${_accounts_copy}"
		platform_made file "${_accounts_directory}/${_accounts_copy}" "${_accounts_mode}" "${_accounts_uid}" "${_accounts_gid}"
	done
}

# sshd(8) wants that nobody else may write there (StrictModes).
_accounts_make_keys() {
	_accounts_get "user.${_accounts_n}.keys"
	[ -n "${value}" ] || return 0
	_accounts_decode '\000-\010\013-\037\177'
	if [ "${_accounts_bad}" -gt 0 ]; then
		fail AccountInvalid "user.${_accounts_n}.keys has a control character" 'give the keys as lines of authorized_keys'
	fi
	if [ -z "${_accounts_directory}" ]; then
		fail AccountInvalid "user.${_accounts_n}.keys has no place: the home directory is ${_accounts_home:-not given}" \
			'give the user a home directory'
	fi
	# A last line without its end becomes one with it.
	awk '{ print }' "${state}/accounts.value" >"${state}/accounts.keys"
	_accounts_ssh=${_accounts_directory}/.ssh
	if [ -L "${_accounts_ssh}" ] || { [ -e "${_accounts_ssh}" ] && [ ! -d "${_accounts_ssh}" ]; }; then
		fail AccountInvalid "user.${_accounts_n}.keys has no place: .ssh of the home directory is no directory" \
			'choose another home directory'
	fi
	[ -d "${_accounts_ssh}" ] || mkdir "${_accounts_ssh}"
	platform_made directory "${_accounts_ssh}" 0700 "${_accounts_uid}" "${_accounts_gid}"
	if [ -d "${_accounts_ssh}/authorized_keys" ] && [ ! -L "${_accounts_ssh}/authorized_keys" ]; then
		fail AccountInvalid "user.${_accounts_n}.keys has no place: authorized_keys is a directory" 'choose another home directory'
	fi
	platform_unlock "${_accounts_ssh}/authorized_keys"
	rm -f "${_accounts_ssh:?}/authorized_keys"
	mv "${state}/accounts.keys" "${_accounts_ssh}/authorized_keys"
	platform_made file "${_accounts_ssh}/authorized_keys" 0600 "${_accounts_uid}" "${_accounts_gid}"
}
