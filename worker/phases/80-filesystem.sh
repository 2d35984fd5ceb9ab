# filesystem: one image file for each file system, with holes where there is no data.

filesystem_check() { :; }

filesystem_run() {
	mkdir "${images:?}"
	progress_of tree "${images}" 0
	if layout_of efi; then
		filesystem_loader
		platform_make_esp "${images}/esp.img" "${part_size}" "${_filesystem_loader}" "${_filesystem_boot_name}"
	fi
	_filesystem_data
	layout_of root
	platform_make_root "${images}/root.img" "${part_size}"
	phase_bytes "$(du -sk -- "${images}" | awk '{ printf "%.0f", $1 * 1024 }')"
}

# A data partition is an empty UFS. It has its label twice, in the table and in itself: the two look the same in fstab(5).
_filesystem_data() {
	mkdir "${images}/empty"
	_filesystem_n=0
	while [ "${_filesystem_n}" -lt "${job_partitions}" ]; do
		_filesystem_n=$((_filesystem_n + 1))
		layout_at "${_filesystem_n}"
		[ "${part_content}" = data ] || continue
		platform_make_data "${images}/${part_index}.img" "${part_size}" "${part_label}" "${part_id}" "${images}/empty"
	done
}

# UEFI 2.10, 3.5.1.1: the name under which firmware looks for a loader on a disk that it was not told about. Inventory asks too.
filesystem_loader() {
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
