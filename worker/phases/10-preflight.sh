# preflight: everything that can be known to be wrong before anything is made.

# How long the target may take to appear: it is attached after the worker has reached "running".
preflight_disk_seconds=300

# Seconds after which the machine is asked to look for new disks itself, again and again.
preflight_rescan_seconds=15

# How long a disk may be open: the kernel and its helpers look into one that has just appeared.
preflight_use_seconds=5

preflight_check() { :; }

preflight_run() {
	: >"${state}/tools.missing"
	platform_check
	for _name in ${phases}; do
		"${_name}_check"
	done
	if [ -s "${state}/tools.missing" ]; then
		fail ToolMissing "missing on this machine: $(sort -u "${state}/tools.missing" | tr '\n' ' ')" \
			'start the worker from an image that has these, or install them'
	fi
	if job_has upload.blocks.count; then
		_preflight_file
	else
		_preflight_disk
	fi
}

# need_tool(name, package): for a phase's _check. All that is missing is reported at once.
need_tool() {
	if ! command -v "$1" >/dev/null 2>&1; then
		printf '%s%s\n' "$1" "${2:+ (package $2)}" >>"${state}/tools.missing"
	fi
}

_preflight_disk() {
	_preflight_began=$(date +%s)
	_preflight_rescan=$((_preflight_began + preflight_rescan_seconds))
	while :; do
		disk=$(platform_find_disk)
		[ -z "${disk}" ] || break
		if [ $(($(date +%s) - _preflight_began)) -ge "${preflight_disk_seconds}" ]; then
			fail TargetDiskMissing "no disk of volume ${volume} appeared within ${preflight_disk_seconds} seconds" \
				'the volume must be attached to this instance; only NVMe disks (Nitro instance types) tell their volume id'
		fi
		if [ "$(date +%s)" -ge "${_preflight_rescan}" ]; then
			platform_rescan
			_preflight_rescan=$(($(date +%s) + preflight_rescan_seconds))
		fi
		# Fractions are beyond POSIX, but sleep(1) takes them on FreeBSD and on Linux.
		sleep 0.2
	done
	_preflight_began=$(date +%s)
	while :; do
		_preflight_use=$(platform_disk_use "${disk}")
		[ -n "${_preflight_use}" ] && [ $(($(date +%s) - _preflight_began)) -lt "${preflight_use_seconds}" ] || break
		sleep 0.2
	done
	if [ -n "${_preflight_use}" ]; then
		fail WriteFailed "the disk ${disk} of volume ${volume} is in use: ${_preflight_use}" \
			'the target must be a volume of its own; nothing was written'
	fi
	_preflight_size=$(platform_disk_size "${disk}")
	if [ "${_preflight_size}" -lt "${job_disk_size}" ]; then
		fail VolumeTooSmall "volume ${volume} has ${_preflight_size} bytes, the image needs ${job_disk_size}" \
			'make the volume as large as the image'
	fi
	# The layer may have to make a device of it; ${state}/disk is what the later phases write to.
	platform_acquire "${disk}" >"${state}/disk"
}

# No volume: the disk is a file, with nothing in it but what is not in the images anyway: table and boot code.
# What a hole of an image leaves out is noise in an encrypted snapshot (blocks.sh), so it must be no zeroes that somebody wrote.
_preflight_file() {
	_preflight_lost=$(platform_loses_zeroes "${work}")
	if [ -n "${_preflight_lost}" ]; then
		fail UnsupportedOnPlatform "${_preflight_lost} on this worker, and makes holes of zeroes: a disk without a volume would lack them" \
			'take image.road: unix, or a worker whose root is UFS'
	fi
	dd if=/dev/null of="${work}/disk.img" bs=1048576 seek=$((job_disk_size / 1048576)) count=0 2>"${state}/dd.stderr" ||
		fail WriteFailed "a file of ${job_disk_size} bytes cannot be made: $(tail -n 1 "${state}/dd.stderr")" 'give the worker a file system that knows holes'
	platform_acquire "${work}/disk.img" >"${state}/disk"
}

preflight_undo() {
	platform_release
	discard "${work}/disk.img"
}
