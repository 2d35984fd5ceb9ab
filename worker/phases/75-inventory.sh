# inventory: what is in the image, told before the image is made of it.
#
# ${state}/inventory/manifest.mtree.gz   mtree(5): every path of the sealed tree with type, owner, mode, flags, link, size, time, SHA-256
# ${state}/inventory/sbom.cdx.json       CycloneDX 1.6: the release, its sets and the packages
# ${state}/manifest.sha256               of the manifest's text, because gzip(1) is not the same everywhere
#
# Both are uploaded if the job has URLs for them.

inventory_check() {
	platform_manifest_check
}

inventory_run() {
	# A tree without a loader is no system; that says more than a specification that lacks its root.
	! layout_of efi || filesystem_loader
	mkdir "${state:?}/inventory"
	_inventory_text=${state}/manifest.mtree
	progress_of file "${_inventory_text}" 0
	{
		_inventory_head
		platform_manifest
	} >"${_inventory_text}"
	platform_sha256 <"${_inventory_text}" >"${state}/manifest.sha256"
	gzip -n -9 -c "${_inventory_text}" >"${state}/inventory/manifest.mtree.gz"
	phase_bytes "$(size_of "${_inventory_text}")"
	rm -f "${_inventory_text:?}"
	sbom_write >"${state}/inventory/sbom.cdx.json"
	! job_has upload.manifest || upload_file upload.manifest "${state}/inventory/manifest.mtree.gz" 'the manifest'
	! job_has upload.sbom || upload_file upload.sbom "${state}/inventory/sbom.cdx.json" 'the SBOM'
}

# mtree(8) reads # as a comment. Names of packages are words, and nothing here can end the line.
_inventory_head() {
	read -r _inventory_level <"${state}/patch-level"
	job_get release
	printf '#mtree v2.0\n# release: %s %s, patched to %s\n# build: %s\n' "${value}" "${job_architecture}" "${_inventory_level}" "${job_build}"
	awk -F '\t' '{ printf "# package: %s-%s\n", $1, $2 }' "${state}/packages"
}

inventory_undo() { :; }
