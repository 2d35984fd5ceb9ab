# filesystem: one image file for each file system, with holes where there is no data.

filesystem_check() { :; }

filesystem_run() {
	mkdir "${images:?}"
	progress_of tree "${images}" 0
	if layout_of efi; then
		_filesystem_loader
		platform_make_esp "${images}/esp.img" "${part_size}" "${_filesystem_loader}" "${_filesystem_boot_name}"
	fi
	layout_of freebsd-ufs
	platform_make_root "${images}/root.img" "${part_size}"
	phase_bytes "$(du -sk -- "${images}" | awk '{ printf "%.0f", $1 * 1024 }')"
}

# UEFI 2.10, 3.5.1.1: the name under which firmware looks for a loader on a disk that it was not told about.
_filesystem_loader() {
	case ${job_architecture} in
	amd64) _filesystem_boot_name=BOOTX64.EFI ;;
	arm64) _filesystem_boot_name=BOOTAA64.EFI ;;
	esac
	for _filesystem_loader in "${tree}/boot/loader_lua.efi" "${tree}/boot/loader.efi"; do
		[ ! -f "${_filesystem_loader}" ] || return 0
	done
	fail LoaderMissing 'neither boot/loader_lua.efi nor boot/loader.efi is in the release' 'the sets must contain base'
}

# filesystem_failed(message): for the platform layers.
filesystem_failed() {
	fail FilesystemFailed "$1" 'the lines above tell what the tool said; the worker may be out of disk space'
}

filesystem_undo() {
	discard "${images}"
}
