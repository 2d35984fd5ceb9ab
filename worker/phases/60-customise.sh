# customise: the job's scripts, in the image, before it is sealed.
#
# What a script finds: the image as its root, on the worker's kernel; /dev without disks; the worker's resolv.conf for as long as the
# scripts run; no standard input; umask 022; and this environment:
#   PATH  HOME=/root  USER=root  LOGNAME=root  SHELL=/bin/sh  TERM=dumb  LANG=C.UTF-8  ASSUME_ALWAYS_YES=yes (for pkg, which cannot ask)
# It runs under sh -e and has until the worker's deadline. Nothing of it stays but what it did.
#
# The failing line is found by -v, which makes the shell print each line of the script as it reads it, and not by -x: that prints
# values, also those of secrets, numbers the lines of functions from their own first line, and lets a script read the trace as the
# errors of its functions. What is printed is kept aside and only looked at after a failure. A script that sends its own standard
# error into a file (exec 2>file) finds its lines there.

customise_path=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin

# Lines of a script's last words in the error.
customise_words=5

customise_check() {
	[ "${job_scripts}" -eq 0 ] || platform_chroot_check 'a script'
}

customise_run() {
	[ "${job_scripts}" -gt 0 ] || return 0
	progress_of tree "${tree}" 0
	platform_area_make
	platform_chroot_enter
	_customise_n=0
	while [ "${_customise_n}" -lt "${job_scripts}" ]; do
		_customise_n=$((_customise_n + 1))
		job_get "script.${_customise_n}.name"
		_customise_name=${value}
		# It may hold secrets, and the image has other users.
		(umask 077 && platform_base64_decode <"${state}/job/script.${_customise_n}.content" >"${tree}/${area_name}/${_customise_name}")
		_customise_status=0
		chroot "${tree}" /usr/bin/env -i "PATH=${customise_path}" HOME=/root USER=root LOGNAME=root SHELL=/bin/sh TERM=dumb LANG=C.UTF-8 \
			ASSUME_ALWAYS_YES=yes /bin/sh -ev "/${area_name}/${_customise_name}" </dev/null >"${state}/script.log" 2>&1 || _customise_status=$?
		[ "${_customise_status}" -eq 0 ] || _customise_failed
	done
	platform_chroot_leave
	platform_area_remove
	rm -f "${state:?}/script.log"
	# A script may have installed packages or patches.
	platform_packages_list
	packages_patch_level
}

_customise_failed() {
	customise_place "${tree}/${area_name}/${_customise_name}" "${state}/script.log" >"${state}/script.place"
	{
		read -r _customise_line
		IFS= read -r _customise_text
	} <"${state}/script.place"
	_customise_said=$(tail -n +3 "${state}/script.place" | tail -n "${customise_words}" | tr '\n' ' ')
	fail ScriptFailed "script ${_customise_name} ended with status ${_customise_status} in line ${_customise_line}: ${_customise_text}${_customise_said:+; it said: ${_customise_said}}" \
		'correct the script; it runs under sh -e, so every command that may fail needs its own || or if'
}

# customise_place(script, log): prints the number of the last line that the shell has read, its text, and the output behind it. A log
# is the lines of the script, in order, with output between; output without a line end stands in front of the next one. A command
# of several lines is read to its end before it runs, so its last line is told.
customise_place() {
	awk '
		FILENAME == ARGV[1] { line[++count] = $0; next }
		{
			for (ahead = 1; ahead <= 3 && at + ahead <= count; ahead++) {
				wanted = line[at + ahead]
				# Only the next line may be short or have output in front of it.
				if ($0 == wanted && (ahead == 1 || length(wanted) > 3) ||
					ahead == 1 && length(wanted) > 7 && length($0) > length(wanted) && substr($0, length($0) - length(wanted) + 1) == wanted) {
					at += ahead; said = ""
					next
				}
			}
			said = said $0 "\n"
		}
		END {
			sub(/^[ \t]+/, "", line[at])
			printf "%d\n%s\n%s", at, line[at], said
		}' "$1" "$2"
}

customise_undo() {
	packages_undo
}
