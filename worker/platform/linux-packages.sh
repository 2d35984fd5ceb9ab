# Linux: packages by pkg.mjs (room packages/), the manifest by manifest.mjs (image/manifest.ts). No program of the image can run, so
# there is neither freebsd-update nor a chroot.

platform_chroot_check() {
	fail UnsupportedOnPlatform "$1 runs programs of FreeBSD, which a Linux worker cannot" 'build on a FreeBSD worker'
}

platform_update_check() {
	platform_chroot_check 'freebsd-update'
}

platform_update() {
	platform_chroot_check 'freebsd-update'
}

platform_packages_check() {
	_need_bundle pkg.mjs
}

# A bundle of the payload, not a program of the machine.
_need_bundle() {
	if [ ! -f "${worker}/$1" ]; then
		printf '%s (part of the payload)\n' "$1" >>"${state}/tools.missing"
	fi
}

# The lines of the job that are about packages, with the names that pkg.mjs knows.
_packages_request() {
	for _request_file in "${state}/job"/package.* "${state}/job"/repository.*; do
		_request_key=${_request_file##*/}
		job_get "${_request_key}"
		case ${_request_key} in
		package.abi | package.osversion) _request_key=${_request_key#package.} ;;
		esac
		printf '%s=%s\n' "${_request_key}" "${value}"
	done
	printf 'timestamp=%s\n' "${job_timestamp}"
}

platform_packages_install() {
	_packages_request >"${state}/packages.request"
	touch "${state}/spec"
	_packages_status=0
	node "${worker}/pkg.mjs" install --request "${state}/packages.request" --root "${tree}" --spec "${state}/spec" \
		--cache "${state}/packages.cache" --list "${state}/packages" >"${state}/pkg.stdout" 2>"${state}/pkg.stderr" || _packages_status=$?
	[ "${_packages_status}" -ne 0 ] || {
		rm -rf "${state:?}/packages.cache"
		return 0
	}
	cat "${state}/pkg.stderr" >&2
	_packages_said=$(grep '^pkg: [A-Za-z]*: ' "${state}/pkg.stderr" | tail -n 1) || :
	_packages_said=${_packages_said#pkg: }
	_packages_code=${_packages_said%%: *}
	case ${_packages_code} in
	RepositoryUnavailable | RepositoryUntrusted | PackageNotFound | PackageConflict | PackageChecksumMismatch | PackageScriptsUnsupported | PackageFailed)
		_packages_said=${_packages_said#*: }
		fail "${_packages_code}" "${_packages_said%; *}" "${_packages_said##*; }"
		;;
	esac
	# Node's own words: the message stands above the stack, the version in the last line.
	fail PackageFailed "pkg.mjs ended with status ${_packages_status}: $(grep -m 1 Error "${state}/pkg.stderr" || tail -n 1 "${state}/pkg.stderr")" \
		'the lines above tell more; report this build'
}

# pkg.mjs has written the list.
platform_packages_list() { :; }

platform_packages_undo() { :; }

platform_manifest_check() {
	_need_bundle manifest.mjs
	need_tool gzip gzip
}

platform_manifest() {
	node "${worker}/manifest.mjs" --spec "${state}/spec" --root "${tree}" 2>"${state}/manifest.stderr" || {
		cat "${state}/manifest.stderr" >&2
		fail WorkerFailed "manifest: $(tail -n 1 "${state}/manifest.stderr")" 'tree and specification disagree: report this build'
	}
}

# The URL is a secret: curl(1) reads it from its standard input, where ps(1) does not look. Prints the status of the answer,
# 000 if there was none; never fails.
platform_put() {
	printf 'url = "%s"\n' "$(printf '%s' "$2" | sed -e 's/\\/\\\\/g' -e 's/"/\\"/g')" |
		curl -q --globoff --silent --show-error --proto '=http,https' --connect-timeout 20 --max-time "${upload_seconds}" \
			--header 'Expect:' --output /dev/null --write-out '%{http_code}\n' --upload-file "$1" --config - || :
}

platform_unlock_all() { :; }

# platform_removed(path below the tree): for a phase that takes something away; what is below it goes too.
platform_removed() {
	_mtree_path "$1"
	printf '%s\n' "${mtree_path}" >>"${state}/spec.removed"
}

# Takes the lines of everything that was removed out of the specification. Any quoting of mtree(5) names the same path.
platform_removed_all() {
	[ -s "${state}/spec.removed" ] || return 0
	awk '
		function plain(text,   at, out) {
			if (index(text, "\\") == 0) return text
			out = ""
			for (at = 1; at <= length(text); at++) {
				if (substr(text, at, 4) ~ /^\\[0-3][0-7][0-7]$/) {
					out = out sprintf("%c", substr(text, at + 1, 1) * 64 + substr(text, at + 2, 1) * 8 + substr(text, at + 3, 1)); at += 3
				} else out = out substr(text, at, 1)
			}
			return out
		}
		FILENAME == ARGV[1] { removed[plain($1)] = 1; next }
		{
			path = plain($1); sub(/^[.]/, "", path); sub(/\/$/, "", path)
			while (path ~ /^\// && !(path in removed)) sub(/\/[^\/]*$/, "", path)
			if (path !~ /^\//) print
		}' "${state}/spec.removed" "${state}/spec" >"${state}/spec.sealed"
	mv "${state}/spec.sealed" "${state}/spec"
	: >"${state}/spec.removed"
}
