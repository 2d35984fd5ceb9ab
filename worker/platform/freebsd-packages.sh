# FreeBSD: patches, packages, the chroot and the manifest, by the base system's own tools and pkg(8).
#
# Why `pkg -c TREE` (chroot) for everything but the base itself: with `-r` pkg runs a package's scripts by the worker's shell and
# only tells them PKG_ROOTDIR, which most do not look at: they would change the worker. It also puts triggers off to some later
# `pkg triggers` (libpkg/scripts.c and pkg_set_rootdir in pkg_config.c; freebsd/pkg issues 2468 and 2673). The base cannot be
# installed that way, because there is nothing to change the root into; its packages are made for `-r`, and what they put off is
# run afterwards. pkg resolves fingerprints below its root, -R before it changes into the chroot's, so both ways find the same files
# in ${tree}/.foundry, which lasts as long as the phase.

# In the tree, because pkg in the chroot must reach it, also where pkg has put on the user nobody. Removed before the phase ends.
area_name=.foundry

# How often a mount that is busy is asked to go, with a second of rest: as long as vmimage.subr tries.
chroot_tries=10

# platform_chroot_check(what): programs of the image run on the worker's kernel and processor.
platform_chroot_check() {
	if [ "$(uname -m)" != "${job_architecture}" ]; then
		fail UnsupportedOnPlatform "$1 runs programs of the image, which is for ${job_architecture}; the worker is $(uname -m)" \
			'start the worker on the architecture of the image'
	fi
	for _tool in chroot mount umount devfs fuser; do
		need_tool "${_tool}"
	done
}

platform_update_check() {
	if [ "$(uname -m)" != "${job_architecture}" ]; then
		fail UnsupportedOnPlatform "freebsd-update patches the worker's own architecture, $(uname -m), not ${job_architecture}" \
			'start the worker on the architecture of the image'
	fi
	# freebsd-update does not quote its paths.
	case ${work} in
	*[!A-Za-z0-9._/-]*) fail UpdateFailed "freebsd-update cannot work below ${work}" 'give --work a path of letters, digits, dot, dash and underscore' ;;
	esac
	need_tool freebsd-update
}

platform_packages_check() {
	need_tool pkg
	platform_chroot_check 'the installation of packages'
}

# _update(command): one run of freebsd-update(8) on the tree.
_update() {
	PAGER=cat freebsd-update -b "${tree}" -d "${state}/update" -f "${state}/update.conf" --currently-running "${_update_release}" \
		--not-running-from-cron "$1" </dev/null >"${state}/update.log" 2>&1
}

_update_failed() {
	cat "${state}/update.log" >&2
	fail UpdateFailed "freebsd-update $1 ended with status $2: $(grep -v '^$' "${state}/update.log" | tail -n 3 | tr '\n' ' ')" \
		'the lines above tell more; the release may have no binary updates, or its server may be out of reach'
}

# The sets of a release are never patched. The tree's own configuration names server, key and components. Nothing of it stays in
# the image: the working directory is outside, and the old kernel is not kept. What `fetch` leaves needs no merging: nobody has
# changed the files yet.
platform_update() {
	if [ ! -f "${tree}/etc/freebsd-update.conf" ]; then
		fail UpdateFailed 'the sets have no etc/freebsd-update.conf' 'a system of base packages is patched by pkg: set update to pkg or none'
	fi
	job_get release
	_update_release=${value}
	mkdir -m 0700 "${state}/update"
	# An option that is there twice is an error.
	awk '$1 !~ /^(BackupKernel|WorkDir|BaseDir|MailTo)$/ { print } END { print "BackupKernel no" }' \
		"${tree}/etc/freebsd-update.conf" >"${state}/update.conf"
	_update_status=0
	_update fetch || _update_status=$?
	# After the end of a release's life `fetch` ends with 1 although it has done its work (fetch_warn_eol).
	if [ "${_update_status}" -ne 0 ] && ! grep -q 'HAS PASSED ITS END-OF-LIFE DATE' "${state}/update.log"; then
		_update_failed fetch "${_update_status}"
	fi
	# A second run takes away old shared libraries, where there are any.
	for _update_turn in 1 2 3; do
		_update_status=0
		_update updatesready || _update_status=$?
		case ${_update_status} in
		0) ;;
		2) break ;;
		*) _update_failed updatesready "${_update_status}" ;;
		esac
		if [ "${_update_turn}" -eq 3 ]; then
			_update_failed install 0
		fi
		_update install || _update_failed install $?
	done
	rm -rf "${state:?}/update"
}

# UCL strings in double quotes are JSON's; of its variables pkg knows ABI and the like, which a URL may have.
_ucl_string() {
	printf '"%s"' "$(printf '%s' "$1" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g')"
}

# Finds ${_keys_from}: where the trusted/ and revoked/ of a repository are. An image of base packages has none at first: the worker's
# own serve, as in bsdinstall(8).
_keys_directory() {
	_keys_from=
	for _keys_root in "${tree}" ''; do
		_keys_found=$(CDPATH='' cd -- "${_keys_root}$1" 2>/dev/null && pwd -P) || continue
		# A link may lead out of the image.
		case ${_keys_found} in
		"${_keys_root}"/*) ;;
		*) continue ;;
		esac
		if [ -d "${_keys_found}/trusted" ]; then
			_keys_from=${_keys_found}
			return 0
		fi
	done
	fail RepositoryUntrusted "repository ${_repo_name} has its keys in $1, which neither the image nor the worker has" \
		'give the fingerprints themselves, or a directory that the release brings'
}

# One file for each repository. -R makes pkg look at these and at no others.
_repositories_write() {
	mkdir "${_area}/repos" "${_area}/keys"
	_repo_n=0
	while [ "${_repo_n}" -lt "${job_repositories}" ]; do
		_repo_n=$((_repo_n + 1))
		job_get "repository.${_repo_n}.name"
		_repo_name=${value}
		job_get "repository.${_repo_n}.url"
		_repo_url=${value}
		job_get "repository.${_repo_n}.signature"
		_repo_signature=${value}
		job_get "repository.${_repo_n}.priority"
		_repo_priority=${value}
		_repo_mirror=none
		case ${_repo_url} in pkg+*) _repo_mirror=srv ;; esac
		{
			printf '%s: {\n  url: %s\n  mirror_type: "%s"\n  enabled: yes\n  priority: %s\n  signature_type: %s\n' \
				"$(_ucl_string "${_repo_name}")" "$(_ucl_string "${_repo_url}")" "${_repo_mirror}" "${_repo_priority}" \
				"$(_ucl_string "${_repo_signature}")"
			case ${_repo_signature} in
			fingerprints)
				_repository_fingerprints
				printf '  fingerprints: "/%s/keys/%s"\n' "${area_name}" "${_repo_n}"
				;;
			pubkey)
				platform_base64_decode <"${state}/job/repository.${_repo_n}.key" >"${_area}/keys/${_repo_n}.pem"
				printf '  pubkey: "/%s/keys/%s.pem"\n' "${area_name}" "${_repo_n}"
				;;
			esac
			printf '}\n'
		} >"${_area}/repos/${_repo_n}.conf"
	done
}

# pkg.conf(5), "REPOSITORY CONFIGURATION": the form of the files and of the directory.
_repository_fingerprints() {
	_keys_to=${_area}/keys/${_repo_n}
	mkdir "${_keys_to}" "${_keys_to}/trusted" "${_keys_to}/revoked"
	if job_has "repository.${_repo_n}.keys"; then
		job_get "repository.${_repo_n}.keys"
		_keys_directory "${value}"
		for _keys_kind in trusted revoked; do
			[ ! -d "${_keys_from}/${_keys_kind}" ] || cp -R "${_keys_from}/${_keys_kind}/." "${_keys_to}/${_keys_kind}"
		done
		return 0
	fi
	job_get "repository.${_repo_n}.fingerprint.count"
	_keys_count=${value}
	_keys_n=0
	while [ "${_keys_n}" -lt "${_keys_count}" ]; do
		_keys_n=$((_keys_n + 1))
		job_get "repository.${_repo_n}.fingerprint.${_keys_n}"
		printf 'function: "sha256"\nfingerprint: "%s"\n' "${value}" >"${_keys_to}/trusted/${_keys_n}"
	done
}

# _pkg(outside|inside, command, argument...): see the head of this file. -o sets an option of pkg.conf(5).
_pkg() {
	_pkg_way=$1
	shift
	case ${_pkg_way} in
	outside) set -- -r "${tree}" -R "${_area}/repos" "$@" ;;
	inside) set -- -c "${tree}" -R "/${area_name}/repos" -o "PKG_CACHEDIR=/${area_name}/cache" "$@" ;;
	esac
	pkg -o "ABI=${_pkg_abi}" -o "OSVERSION=${_pkg_osversion}" -o IGNORE_OSVERSION=yes -o ASSUME_ALWAYS_YES=yes \
		-o REPO_AUTOUPDATE=no -o SYSLOG=no "$@" </dev/null >"${state}/pkg.log" 2>&1
}

# With keys that do not fit, `pkg update` complains and ends with 0.
_pkg_untrusted='No trusted (public keys|certificate)|No signature found|Invalid signature|has been revoked|signature verification'
_pkg_missing='No packages available to install matching'

_pkg_match() {
	grep -qE "$1" "${state}/pkg.log"
}

# _pkg_failed(what): by pkg's words, the worst first: "Unable to update repository" follows everything that is wrong with one.
_pkg_failed() {
	cat "${state}/pkg.log" >&2
	_pkg_said=$(grep -E '^pkg(-static)?: ' "${state}/pkg.log" | tail -n 4 | tr '\n' ' ') || :
	_pkg_said="$1: ${_pkg_said:-$(tail -n 1 "${state}/pkg.log")}"
	if _pkg_match "${_pkg_untrusted}"; then
		fail RepositoryUntrusted "${_pkg_said}" 'check that the keys or fingerprints are those of this repository; base packages have others than ports'
	elif _pkg_match "${_pkg_missing}"; then
		fail PackageNotFound "$1: no repository has $(sed -n "s/.*${_pkg_missing} '\(.*\)' have been.*/\1/p" "${state}/pkg.log" | sort -u | tr '\n' ' ')" \
			'check the names and the branch of the repository'
	elif _pkg_match 'failed checksum|size mismatch|checksum mismatch'; then
		fail PackageChecksumMismatch "${_pkg_said}" 'the repository is being updated or a proxy serves old files: try again later'
	elif _pkg_match 'conflicts? with|Cannot solve problem|conflicting'; then
		fail PackageConflict "${_pkg_said}" 'leave out one of the packages that exclude each other, or take all from one branch'
	elif _pkg_match 'Unable to update repository|Error updating repositor|An error occurr?ed while fetching|No address record|resolver failure|resolve host|Connection refused|timed out|Not Found|meta\.(txz|conf)|packagesite|wrong OS version|Network is unreachable|No route to host|Authentication error'; then
		fail RepositoryUnavailable "${_pkg_said}" "check the repository's URL and that the worker's subnet reaches it"
	fi
	fail PackageFailed "${_pkg_said}" 'the lines above tell what pkg and the scripts of the packages said'
}

# Before pkg itself is installed there is only the stub of the base system, which fetches it.
_pkg_bootstrap() {
	! pkg -N >/dev/null 2>&1 || return 0
	ASSUME_ALWAYS_YES=yes pkg bootstrap </dev/null >"${state}/pkg.log" 2>&1 || {
		cat "${state}/pkg.log" >&2
		fail ToolMissing "pkg cannot be bootstrapped: $(tail -n 1 "${state}/pkg.log")" \
			"start the worker from an image that has pkg, or let its subnet reach FreeBSD's repository"
	}
}

# Installs those packages that _wanted says yes to, in the order of the job, one call for each repository.
_packages_from_repositories() {
	_packages_done=' '
	_package_n=0
	while [ "${_package_n}" -lt "${job_packages}" ]; do
		_package_n=$((_package_n + 1))
		_package_wanted "${_package_n}" "$1" || continue
		job_get "package.${_package_n}.repository"
		_package_repository=${value}
		case ${_packages_done} in *" /${_package_repository} "*) continue ;; esac
		_packages_done="${_packages_done}/${_package_repository} "
		set -- "$1"
		_package_m=0
		while [ "${_package_m}" -lt "${job_packages}" ]; do
			_package_m=$((_package_m + 1))
			_package_wanted "${_package_m}" "$1" || continue
			_package_name=${value}
			job_get "package.${_package_m}.repository"
			[ "${value}" != "${_package_repository}" ] || set -- "$@" "${_package_name}"
		done
		_packages_call "$@"
	done
}

# _package_wanted(number, way): base packages go in from outside, where the system is made of them. Sets ${value} to the name.
_package_wanted() {
	job_get "package.$1.name"
	case ${job_system},${value},$2 in
	pkgbase,FreeBSD-*,outside) return 0 ;;
	pkgbase,FreeBSD-*,*) return 1 ;;
	*,inside) return 0 ;;
	esac
	return 1
}

_packages_call() {
	_packages_way=$1
	shift
	[ -z "${_package_repository}" ] || set -- -r "${_package_repository}" "$@"
	_pkg "${_packages_way}" install -y -U "$@" || _pkg_failed 'pkg install'
	! grep -qF "${_pkg_missing}" "${state}/pkg.log" || _pkg_failed 'pkg install'
}

_packages_catalogues() {
	_pkg "$1" update -f || _pkg_failed 'pkg update'
	! grep -qE "${_pkg_untrusted}" "${state}/pkg.log" || _pkg_failed 'pkg update'
}

platform_packages_install() {
	job_get package.abi
	_pkg_abi=${value}
	job_get package.osversion
	_pkg_osversion=${value}
	_pkg_bootstrap
	platform_area_make
	_repositories_write
	: >"${state}/package.hashes"
	if [ "${job_system}" = pkgbase ]; then
		_packages_catalogues outside
		_packages_from_repositories outside
		platform_chroot_enter
		if [ -d "${tree}/var/db/pkg/triggers" ]; then
			_pkg inside triggers || _pkg_failed 'pkg triggers'
			# What is left has failed, which pkg forgives; it would be tried again by the next `pkg triggers`.
			rmdir "${tree}/var/db/pkg/triggers" 2>/dev/null || cat "${state}/pkg.log" >&2
		fi
	else
		platform_chroot_enter
		_packages_catalogues inside
	fi
	_packages_from_repositories inside
	_packages_hashes
	platform_chroot_leave
	platform_area_remove
}

# pkg tells the checksum of no package, but has checked the files in its cache against the catalogue (those of the base are in the
# cache of the worker or of the image, by its version). Their names are NAME-VERSION~HASH.pkg, beside links without the hash.
_packages_hashes() {
	set -- "${_area}"/cache/*.pkg
	[ "${job_system}" != pkgbase ] || set -- "$@" "${tree}"/var/cache/pkg/*.pkg /var/cache/pkg/*.pkg
	for _hash_file in "$@"; do
		if [ -f "${_hash_file}" ] && [ ! -L "${_hash_file}" ]; then
			_hash_name=${_hash_file##*/}
			_hash_name=${_hash_name%.pkg}
			printf '%s\t%s\n' "${_hash_name%~??????????}" "$(sha256 -q "${_hash_file}")"
		fi
	done >"${state}/package.hashes"
}

# The database only is read, so from outside. %L gives a line for each licence and none for a package without.
platform_packages_list() {
	[ -f "${tree}/var/db/pkg/local.sqlite" ] || return 0
	_list_tab=$(printf '\t')
	for _list_format in "%n${_list_tab}%v${_list_tab}%o${_list_tab}%q${_list_tab}%w${_list_tab}%R" "%n${_list_tab}%L"; do
		pkg -r "${tree}" query -a "${_list_format}" </dev/null 2>"${state}/pkg.log" || {
			cat "${state}/pkg.log" >&2
			fail PackageFailed "pkg query: $(tail -n 1 "${state}/pkg.log")" 'the database of the packages in the image cannot be read'
		}
	done >"${state}/packages.queried"
	[ -e "${state}/package.hashes" ] || : >"${state}/package.hashes"
	awk -F '\t' -v OFS='\t' '
		FILENAME == ARGV[1] { sha256[$1] = $2; next }
		NF == 6 { line[$1] = $0 }
		NF == 2 { license[$1] = license[$1] (license[$1] == "" ? "" : ",") $2 }
		END {
			for (name in line) {
				split(line[name], f, "\t")
				print f[1], f[2], f[3], f[4], license[name], f[5], f[6], sha256[f[1] "-" f[2]]
			}
		}' "${state}/package.hashes" "${state}/packages.queried" | sort >"${state}/packages"
}

# What is acquired in the tree stands in ${state}/area.owned, chroot.owned (devfs) and resolver.owned.
platform_area_make() {
	_area=${tree:?}/${area_name}
	if [ -e "${_area}" ] || [ -L "${_area}" ]; then
		fail WorkerFailed "the image has a ${area_name} in its root" 'that name is the worker'"'"'s: choose another'
	fi
	printf '%s\n' "${_area}" >"${state}/area.owned"
	mkdir "${_area}"
}

platform_area_remove() {
	[ -s "${state}/area.owned" ] || return 0
	read -r _area <"${state}/area.owned"
	rm -rf "${_area:?}"
	: >"${state}/area.owned"
}

# In the chroot's /dev there is what programs need and no disk: a script can write neither the target nor the worker's own. The names
# are those of devfsrules_unhide_basic in /etc/defaults/devfs.rules.
platform_chroot_enter() {
	if [ ! -d "${tree:?}/dev" ] || [ -L "${tree}/dev" ] || [ ! -d "${tree}/etc" ] || [ -L "${tree}/etc" ]; then
		fail PackageFailed 'the image has no /dev or /etc of its own' 'the sets or packages must contain the base system'
	fi
	printf '%s\n' "${tree}/dev" >"${state}/chroot.owned"
	mount -t devfs devfs "${tree}/dev"
	devfs -m "${tree}/dev" rule apply hide
	for _chroot_device in null zero full random urandom crypto stdin stdout stderr fd 'fd/*'; do
		devfs -m "${tree}/dev" rule apply path "${_chroot_device}" unhide
	done
	# Names are resolved in the chroot. A resolv.conf of the image is put aside and comes back.
	printf 'made\n' >"${state}/resolver.owned"
	if [ -e "${tree}/etc/resolv.conf" ] || [ -L "${tree}/etc/resolv.conf" ]; then
		printf 'kept\n' >"${state}/resolver.owned"
		mv "${tree}/etc/resolv.conf" "${state}/resolv.conf"
	fi
	[ ! -f /etc/resolv.conf ] || cp /etc/resolv.conf "${tree}/etc/resolv.conf"
}

# Daemons that a script has left behind keep /dev/null open, and would go on changing the tree.
platform_chroot_leave() {
	if [ -s "${state}/resolver.owned" ]; then
		read -r _chroot_resolver <"${state}/resolver.owned"
		# Interrupted between the two lines above, the image's own is still in its place.
		if [ "${_chroot_resolver}" = made ] || [ -e "${state}/resolv.conf" ] || [ -L "${state}/resolv.conf" ]; then
			rm -f "${tree:?}/etc/resolv.conf"
		fi
		if [ -e "${state}/resolv.conf" ] || [ -L "${state}/resolv.conf" ]; then
			mv "${state}/resolv.conf" "${tree}/etc/resolv.conf"
		fi
		: >"${state}/resolver.owned"
	fi
	[ -s "${state}/chroot.owned" ] || return 0
	read -r _chroot_mount <"${state}/chroot.owned"
	_chroot_try=0
	while _mounted "${_chroot_mount}"; do
		_chroot_try=$((_chroot_try + 1))
		if [ "${_chroot_try}" -gt "${chroot_tries}" ]; then
			fail WorkerFailed "${_chroot_mount} cannot be unmounted: $(tail -n 1 "${state}/umount.log")" 'a process of a package or script still uses it'
		fi
		fuser -k -c "${_chroot_mount}" >/dev/null 2>&1 || :
		umount "${_chroot_mount}" >"${state}/umount.log" 2>&1 || sleep 1
	done
	: >"${state}/chroot.owned"
}

# _mounted(directory): whether something is mounted there: df(1) tells the mount point in its last column.
_mounted() {
	[ "$(df -P "$1" 2>/dev/null | awk 'NR == 2 { sub(/^.*% +/, ""); print }')" = "$1" ]
}

platform_packages_undo() {
	platform_chroot_leave
	platform_area_remove
}

# _vis_normal: an awk program's functions: paths as mtree(8) writes them (strunvis(3): octal before 2013 and after 2024, in the
# style of C between), written again in octal, so that every version of it gives the same text.
_vis_normal='
	BEGIN {
		for (i = 1; i < 256; i++) code[sprintf("%c", i)] = i
		split("a 7 b 8 t 9 n 10 v 11 f 12 r 13 s 32", c, " ")
		for (i = 1; i < 16; i += 2) style[c[i]] = c[i + 1]
	}
	function control(ch) { return ch == "?" ? 127 : code[ch] % 32 }
	function byte(n) {
		if (n > 32 && n < 127 && n != 35 && n != 42 && n != 63 && n != 91 && n != 92) return sprintf("%c", n)
		return sprintf("\\%03o", n)
	}
	function normal(text,   at, out, ch) {
		if (text ~ /^[A-Za-z0-9.\/_+:=@,%~-]+$/) return text
		out = ""
		for (at = 1; at <= length(text); at++) {
			ch = substr(text, at, 1)
			if (ch != "\\") { out = out byte(code[ch]); continue }
			ch = substr(text, ++at, 1)
			if (ch ~ /[0-3]/ && substr(text, at, 3) ~ /^[0-3][0-7][0-7]$/) {
				out = out byte(ch * 64 + substr(text, at + 1, 1) * 8 + substr(text, at + 2, 1)); at += 2
			} else if (ch == "M" && substr(text, at + 1, 1) == "-") { out = out byte(128 + code[substr(text, at + 2, 1)]); at += 2
			} else if (ch == "M" && substr(text, at + 1, 1) == "^") { out = out byte(128 + control(substr(text, at + 2, 1))); at += 2
			} else if (ch == "^") { out = out byte(control(substr(text, ++at, 1)))
			} else if (ch in style) out = out byte(style[ch])
			else out = out byte(code[ch])
		}
		return out
	}'

# platform_manifest(): a line for each path of the tree. mtree -C turns the dialect with directories into full paths. In a UFS makefs(8)
# drops nanoseconds, so the image has none. In a pool it keeps them, drops the flags of files and gives each uarch (fs_populate_sattrs,
# usr.sbin/makefs/zfs/fs.c). That one is set by a ZFS below the worker as well and is no property of the file.
platform_manifest() {
	_manifest_keys=type,uid,gid,mode,flags,link,size,time,sha256
	rm -f "${state:?}/mtree.failed"
	{
		mtree -c -k "${_manifest_keys}" -p "${tree}" 2>"${state}/mtree.stderr" || : >"${state}/mtree.failed"
	} | {
		mtree -C -k "${_manifest_keys}" 2>>"${state}/mtree.stderr" || : >"${state}/mtree.failed"
	} | FILESYSTEM=${job_filesystem} awk "${_vis_normal}"'
		BEGIN { pool = ENVIRON["FILESYSTEM"] == "zfs" }
		/^[.]/ {
			for (key in of) delete of[key]
			for (i = 2; i <= NF; i++) { at = index($i, "="); of[substr($i, 1, at - 1)] = substr($i, at + 1) }
			# Not every -C writes the zeroes in front of nanoseconds.
			split(of["time"], time, ".")
			time[2] = sprintf("%09d", pool ? time[2] : 0)
			mode = of["mode"]; while (length(mode) > 4) mode = substr(mode, 2); while (length(mode) < 4) mode = "0" mode
			n = split(of["flags"], flag, ","); flags = ""
			for (i = 1; i <= n; i++) for (j = i + 1; j <= n; j++) if (flag[j] < flag[i]) { swap = flag[i]; flag[i] = flag[j]; flag[j] = swap }
			for (i = 1; i <= n; i++) if (flag[i] != "uarch" && flag[i] != "none") flags = flags (flags == "" ? "" : ",") flag[i]
			line = normal($1) " type=" of["type"] " uid=" of["uid"] " gid=" of["gid"] " mode=" mode
			if (!pool) line = line " flags=" (flags == "" ? "none" : flags)
			if (of["type"] == "link") line = line " link=" normal(of["link"])
			if (of["type"] == "file") line = line " size=" of["size"]
			line = line " time=" time[1] "." time[2]
			if (of["type"] == "file") line = line " sha256digest=" ("sha256" in of ? of["sha256"] : of["sha256digest"])
			print line
		}' | sort -k 1,1
	[ ! -e "${state}/mtree.failed" ] ||
		fail WorkerFailed "mtree: $(tail -n 1 "${state}/mtree.stderr")" 'the tree cannot be read: report this build'
}

platform_manifest_check() {
	for _tool in mtree gzip; do
		need_tool "${_tool}"
	done
	if job_has upload.manifest || job_has upload.sbom; then
		for _tool in openssl nc timeout; do
			need_tool "${_tool}"
		done
	fi
}

# fetch(1) cannot PUT. Prints the status of the answer, or nothing.
platform_put() {
	upload_by_hand "$1" "$2"
}

# chflags(1) refuses -R and -h together; -R alone goes by -P, which leaves what a link leads to alone.
platform_unlock_all() {
	chflags -R 0 "$1"
}

# There is no specification beside the tree.
platform_removed() { :; }

platform_removed_all() { :; }
