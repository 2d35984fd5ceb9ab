# seal: takes out what must not be the same in two instances, and what building has left: keys and identities, entropy, leases, logs,
# caches, histories. Directories stay. A file that the job lays down stays too, whatever its name is, and /firstboot is one of them.
#
# Compared with FreeBSD's own images (release/tools/vmimage.subr: pkg's cache, resolv.conf) this goes further, because scripts and
# packages may have run. /var/run is left alone: rc.d/cleanvar empties it at boot.

# Patterns below the root; what matches is removed, directories with all they hold.
seal_removed='
	.foundry
	etc/hostid etc/machine-id var/db/machine-id var/lib/dbus/machine-id var/db/dbus/machine-id
	etc/ssh/ssh_host_* usr/local/etc/ssh/ssh_host_*
	entropy boot/entropy var/db/entropy-file var/db/entropy/* var/db/entropy/.[!.]*
	var/db/dhclient.leases.* var/db/dhclient6.leases* var/db/dhcpcd/*.lease* var/db/ntpd.drift var/db/ntp/ntpd.drift
	etc/zfs/zpool.cache boot/zfs/zpool.cache
	etc/resolv.conf etc/resolv.conf.bak
	var/cache/pkg/* var/db/pkg/repo-*.sqlite* var/db/pkg/repos var/db/pkg/*.meta
	var/db/freebsd-update/*
	var/backups/*
	tmp/* tmp/.[!.]* var/tmp/* var/tmp/.[!.]*
	var/log/*.[0-9] var/log/*.gz var/log/*.bz2 var/log/*.xz var/log/*.zst var/log/bsdinstall_log
	var/crash/vmcore.* var/crash/info.* var/crash/core.txt.* var/crash/textdump.* var/crash/bounds
	root/.history root/.sh_history root/.bash_history root/.zsh_history root/.lesshst root/.viminfo root/.python_history
	root/.ssh/known_hosts
'

# Directories whose files are emptied and kept: newsyslog(8) would make most of them again, but not with the owners of packages.
seal_emptied='var/log'

# Directories that the release has where everything else goes (mtree/BSD.var.dist).
seal_kept='/var/tmp/vi.recover'

seal_check() { :; }

seal_run() {
	_seal_protected
	: >"${state}/spec.removed"
	set -f
	# shellcheck disable=SC2086 # a list of patterns, which are not for this directory
	set -- ${seal_removed}
	set +f
	for _seal_pattern in "$@"; do
		_seal_each "${_seal_pattern}" _seal_remove
	done
	platform_removed_all
	for _seal_pattern in ${seal_emptied}; do
		_seal_empty "${_seal_pattern}"
	done
	accounts_seal
	packages_patch_level
}

# Paths that stay: those of the job, and the directories that lead to them.
_seal_protected() {
	_seal_n=0
	while [ "${_seal_n}" -lt "${job_files}" ]; do
		_seal_n=$((_seal_n + 1))
		job_get "file.${_seal_n}.path"
		while [ -n "${value}" ]; do
			printf '%s\n' "${value}"
			value=${value%/*}
		done
	done >"${state}/seal.protected"
	_seal_n=0
	while [ "${_seal_n}" -lt "${job_edits}" ]; do
		_seal_n=$((_seal_n + 1))
		job_get "edit.${_seal_n}.path"
		printf '%s\n' "${value}"
	done >>"${state}/seal.protected"
	for value in ${seal_kept}; do
		printf '%s\n' "${value}"
	done >>"${state}/seal.protected"
	# The same where links lead, what an edit has made, and the places where data will be mounted.
	if [ -e "${state}/placed" ]; then
		while IFS= read -r value; do
			while [ -n "${value}" ]; do
				printf '%s\n' "${value}"
				value=${value%/*}
			done
		done <"${state}/placed" >>"${state}/seal.protected"
	fi
}

# _seal_each(pattern, function): calls function with each path below the tree that matches. A directory on the way that is a link is
# not followed: its target may be anywhere.
_seal_each() {
	_seal_way=${tree:?}
	_seal_rest=$1
	while :; do
		case ${_seal_rest} in
		*/*) ;;
		*) break ;;
		esac
		_seal_way=${_seal_way}/${_seal_rest%%/*}
		_seal_rest=${_seal_rest#*/}
		[ ! -L "${_seal_way}" ] || return 0
	done
	[ -d "${_seal_way}" ] || return 0
	# The tree's name is quoted, the pattern is not.
	# shellcheck disable=SC2086 # it holds no blanks
	set -- "$2" "${_seal_way}"/${_seal_rest}
	_seal_function=$1
	shift
	for _seal_path in "$@"; do
		if [ -e "${_seal_path}" ] || [ -L "${_seal_path}" ]; then
			"${_seal_function}" "${_seal_path}"
		fi
	done
}

_seal_is_protected() {
	grep -qxF -- "${1#"${tree}"}" "${state}/seal.protected"
}

# _seal_remove(path): all of it, or all of it but what is protected.
_seal_remove() {
	if ! _seal_is_protected "$1"; then
		platform_unlock_all "$1"
		rm -rf -- "${1:?}"
		platform_removed "${1#"${tree}"}"
	elif [ -d "$1" ] && [ ! -L "$1" ]; then
		# Not by recursion, which has no variables of its own: the deepest first.
		find "$1" -depth >"${state}/seal.found"
		while IFS= read -r _seal_found; do
			if [ "${_seal_found}" != "$1" ] && ! _seal_is_protected "${_seal_found}"; then
				platform_unlock_all "${_seal_found}"
				rm -rf -- "${_seal_found:?}"
				platform_removed "${_seal_found#"${tree}"}"
			fi
		done <"${state}/seal.found"
	fi
}

_seal_empty() {
	[ -d "${tree}/$1" ] && [ ! -L "${tree}/$1" ] && [ ! -L "${tree}/${1%%/*}" ] || return 0
	find "${tree}/$1" -type f -size +0 >"${state}/seal.found"
	while IFS= read -r _seal_found; do
		_seal_is_protected "${_seal_found}" || : >"${_seal_found}"
	done <"${state}/seal.found"
}

seal_undo() { :; }
