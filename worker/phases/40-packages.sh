# packages: the patches of the sets, then the packages of the job. The platform layers do both.
#
# ${state}/packages has a line for each package of the image, tab-separated: name version origin arch licences (comma) www
# repository sha256 (or nothing). ${state}/patch-level is the release with its patch level.

packages_check() {
	[ "${job_update}" != freebsd-update ] || platform_update_check
	[ "${job_packages}" -eq 0 ] || platform_packages_check
}

packages_run() {
	: >"${state}/packages"
	progress_of tree "${tree}" 0
	[ "${job_update}" != freebsd-update ] || platform_update
	if [ "${job_packages}" -gt 0 ]; then
		platform_packages_install
		platform_packages_list
	fi
	packages_patch_level
	[ "${job_update},${job_packages}" = none,0 ] || phase_bytes "$(du -sk -- "${tree}" | awk '{ printf "%.0f", $1 * 1024 }')"
}

# The tree's own word, on every platform: freebsd-version(1) is a script with a line USERLAND_VERSION="15.1-RELEASE-p2", which every
# patch changes. Running it would run a program of the image on the worker.
packages_patch_level() {
	job_get release
	_patch_level=
	if [ -f "${tree}/bin/freebsd-version" ]; then
		_patch_level=$(sed -n 's/^USERLAND_VERSION="\([A-Za-z0-9.-]*\)"$/\1/p' "${tree}/bin/freebsd-version" | head -n 1)
	fi
	printf '%s\n' "${_patch_level:-${value}}" >"${state}/patch-level"
}

# In a shell of its own: whatever goes wrong here, the others must be undone and the machine powered off.
packages_undo() {
	(platform_packages_undo) || :
}
