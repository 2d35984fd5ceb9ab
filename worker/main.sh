#!/bin/sh
# Fills the disk of an image: fetches a release, lays files over it, makes the file systems, writes and verifies.
#
# usage: main.sh --job FILE [--volume VOLUME_ID] --work DIRECTORY [--power-off]
#
# Without a volume the job has URLs for the blocks of the disk (blocks.sh).
#
# The main process only supervises. Each phase runs in a child, so that the main process always sits in wait(1), which a
# signal interrupts at once (sh runs a trap only after a foreground command has ended). What a phase learns for a later one
# it leaves in ${state}; what it acquires on the machine its _undo gives back, from a file that says it is owned.
#
# Exit status: 0 done, 1 a phase failed or the worker was told to stop, 64 wrong usage, 65 a wrong job (sysexits(3)).
set -eu

# Numbers, case ranges and sort order must not depend on the machine. Archives get a UTF-8 locale of their own.
LC_ALL=C
TZ=UTC
export LC_ALL TZ
umask 022
# rc(8) and cloud-init start programs with a short path.
PATH=${PATH:-/bin}:/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin
export PATH

worker=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd -P)

. "${worker}/console.sh"
. "${worker}/job.sh"
. "${worker}/extents.sh"
. "${worker}/tree.sh"
. "${worker}/accounts.sh"
. "${worker}/sbom.sh"
. "${worker}/upload.sh"
. "${worker}/blocks.sh"
. "${worker}/phases/10-preflight.sh"
. "${worker}/phases/20-fetch.sh"
. "${worker}/phases/30-extract.sh"
. "${worker}/phases/40-packages.sh"
. "${worker}/phases/50-configure.sh"
. "${worker}/phases/60-customise.sh"
. "${worker}/phases/70-seal.sh"
. "${worker}/phases/75-inventory.sh"
. "${worker}/phases/80-filesystem.sh"
. "${worker}/phases/90-write.sh"
. "${worker}/phases/95-verify.sh"

phases='preflight fetch extract packages configure customise seal inventory filesystem write verify'

# Seconds between two progress lines of a phase; the contract asks for one at least every 30.
progress_every=10

started=$(clock_now)
power_off=
volume=
job_file=
work=
state=
phase=
phase_started=
phase_pid=
clock_pid=
phases_begun=
outcome=

# Until the job is read. A process instance (FOUNDRY_POWER_OFF) keeps its console; EC2 shows it only to a poll in time.
job_build=unknown
job_linger=60
[ -z "${FOUNDRY_POWER_OFF:-}" ] || job_linger=0
job_deadline=

# Seconds after which the report is printed once more, if the worker lingers.
report_again=5

# fail(code, message, remedy): ends the phase, or the main process, with an error of the contract. The first one counts.
fail() {
	if [ -z "${state}" ]; then
		outcome=$1
		outcome_message=$2
		outcome_remedy=$3
	elif [ ! -e "${state}/failure" ]; then
		{
			one_line "$1"
			one_line "$2"
			one_line "$3"
		} >"${state}/failure.new"
		mv "${state}/failure.new" "${state}/failure"
	fi
	case $1 in
	UsageError) exit 64 ;;
	BadJob) exit 65 ;;
	esac
	exit 1
}

# phase_bytes(count): how much the phase has worked on, for its last line and the report.
phase_bytes() {
	printf '%s\n' "$1" >"${state}/bytes"
}

# discard(path): removes a work file or directory, unless the machine goes away with all its files: removing some thirty
# thousand that are still being written back takes longer than powering off.
discard() {
	[ -n "${power_off}" ] || rm -rf "${1:?}"
}

# progress_of(kind, path, total): what the clock shows of the phase from now on. Kinds: file (its size), tree (what it
# occupies), count (a number that the file holds).
progress_of() {
	printf '%s %s %s\n' "$1" "$3" "$2" >"${state}/progress.new"
	mv "${state}/progress.new" "${state}/progress"
}

_progress() {
	_progress_bytes=0
	_progress_total=0
	if [ -e "${state}/progress" ]; then
		read -r _progress_kind _progress_total _progress_path <"${state}/progress"
		case ${_progress_kind} in
		file) _progress_bytes=$(size_of "${_progress_path}" 2>/dev/null) ;;
		tree) _progress_bytes=$(du -sk -- "${_progress_path}" 2>/dev/null | awk '{ printf "%.0f", $1 * 1024 }') ;;
		count) read -r _progress_bytes <"${_progress_path}" 2>/dev/null || : ;;
		esac
	fi
	say "phase=${phase} state=progress bytes=${_progress_bytes:-0} total=${_progress_total}"
}

# The child that watches the time of a phase. $$ is the main process in a subshell too.
_clock() {
	trap - EXIT INT TERM HUP USR1
	_clock_next=$(($(date +%s) + progress_every))
	while :; do
		# Redirected: an orphaned sleep must not keep the console's pipe open.
		sleep 1 >/dev/null 2>&1
		kill -0 "$$" 2>/dev/null || exit 0
		_clock_now=$(date +%s)
		if [ "${_clock_now}" -ge "${job_deadline}" ]; then
			kill -USR1 "$$"
			exit 0
		fi
		if [ "${_clock_now}" -ge "${_clock_next}" ]; then
			_progress
			_clock_next=$((_clock_now + progress_every))
		fi
	done
}

_run_phase() {
	phase=$1
	phases_begun="${phase} ${phases_begun}"
	phase_started=$(clock_now)
	say "phase=${phase} state=start"
	rm -f "${state:?}/progress" "${state:?}/bytes"
	[ "$(date +%s)" -lt "${job_deadline}" ] || _deadline_passed
	_clock &
	clock_pid=$!
	(
		trap - EXIT INT TERM HUP USR1
		"${phase}_run"
	) 2>"${state}/${phase}.stderr" &
	phase_pid=$!
	_phase_status=0
	wait "${phase_pid}" || _phase_status=$?
	phase_pid=
	# Not TERM: between fork and its first command a child has neither its parent's trap nor the default yet.
	kill -KILL "${clock_pid}" 2>/dev/null || :
	wait "${clock_pid}" 2>/dev/null || :
	clock_pid=
	if [ "${_phase_status}" -ne 0 ]; then
		[ -e "${state}/failure" ] ||
			fail WorkerFailed "${phase} ended with status ${_phase_status}: $(tail -n 1 "${state}/${phase}.stderr")" \
				'the last console lines tell what the tool said'
		exit 1
	fi
	_phase_end=$(clock_now)
	_phase_bytes=0
	[ ! -e "${state}/bytes" ] || read -r _phase_bytes <"${state}/bytes"
	_phase_seconds=$(seconds_between "${phase_started}" "${_phase_end}")
	printf '%s %s %s\n' "${phase}" "${_phase_seconds}" "${_phase_bytes}" >>"${state}/phases"
	say "phase=${phase} state=done seconds=${_phase_seconds} bytes=${_phase_bytes}"
	phase=
}

_deadline_passed() {
	_override DeadlineExceeded "the worker had not ended at its deadline, $(date +%s) is past ${job_deadline}" \
		'give the build more time, or a faster instance type or mirror'
}

# What the outside decides counts more than the error that a half-stopped phase may just have written.
_override() {
	[ -z "${state}" ] || rm -f "${state:?}/failure"
	fail "$@"
}

_interrupted() {
	_override WorkerInterrupted "the worker was stopped by signal $1" 'someone or something ended the instance; start the build again'
}

# Ends every descendant. Stopped first, from the top down, until no new one appears: what is stopped cannot fork.
_stop_children() {
	[ -n "${state}" ] || return 0
	_known=none
	_found=
	while [ "${_known}" != "${_found}" ]; do
		_known=${_found}
		_found=
		_parents=$$
		while [ -n "${_parents}" ]; do
			# Not in $( ), which would be a child too. pgrep(1) leaves itself out and takes a list of parents.
			pgrep -P "${_parents}" >"${state}/children" 2>/dev/null || break
			_parents=$(tr '\n' ',' <"${state}/children")
			_parents=${_parents%,}
			_found="${_found} $(tr '\n' ' ' <"${state}/children")"
		done
		# shellcheck disable=SC2086 # a list of process ids
		[ -z "${_found}" ] || kill -STOP ${_found} 2>/dev/null || :
	done
	# shellcheck disable=SC2086
	kill -KILL ${_found} ${phase_pid} ${clock_pid} 2>/dev/null || :
	wait 2>/dev/null || :
}

_report_phases() {
	printf '"phases":['
	if [ -n "${state}" ] && [ -e "${state}/phases" ]; then
		awk '{ printf "%s{\"name\":\"%s\",\"seconds\":%s,\"bytes\":%s}", (NR > 1 ? "," : ""), $1, $2, $3 }' "${state}/phases"
	fi
	printf ']'
}

_report() {
	_seconds=$(seconds_between "${started}" "$(clock_now)")
	if [ "${outcome}" = ok ]; then
		read -r _written _sha256 <"${state}/written"
		read -r _entries <"${state}/entries"
		read -r _patch_level <"${state}/patch-level"
		read -r _manifest <"${state}/manifest.sha256"
		_packages=$(awk 'END { print NR }' "${state}/packages")
		_blocks=
		if [ -e "${state}/blocks.index" ]; then
			_index=$(platform_sha256 <"${state}/blocks.index")
			_blocks=$(awk -v index_sha256="${_index}" '{ count += $3; pieces = $1 } END {
				printf ",\"blocks\":{\"pieces\":%d,\"count\":%d,\"indexSha256\":\"%s\"}", pieces, count, index_sha256 }' "${state}/blocks.runs")
		fi
		printf 'foundry-report: {"version":1,"build":%s,"ok":true,"seconds":%s,%s,"tree":{"entries":%s},"packages":%s,"patchLevel":%s,"manifestSha256":"%s","disk":{"bytes":%s,"written":%s,"sha256":"%s"}%s}\n' \
			"$(json_string "${job_build}")" "${_seconds}" "$(_report_phases)" "${_entries}" "${_packages}" \
			"$(json_string "${_patch_level}")" "${_manifest}" "${job_disk_size}" "${_written}" "${_sha256}" "${_blocks}"
	else
		printf 'foundry-report: {"version":1,"build":%s,"ok":false,"phase":"%s","code":"%s","message":%s,"remedy":%s,"seconds":%s,%s}\n' \
			"$(json_string "${job_build}")" "${phase:-preflight}" "${outcome}" "$(json_string "${outcome_message}")" \
			"$(json_string "${outcome_remedy}")" "${_seconds}" "$(_report_phases)"
	fi
}

# The one way out. Nothing here may stop it from reaching the power-off.
_finish() {
	_status=$?
	trap - EXIT
	# Caught and not ignored: what is ignored would stay so in the children.
	trap : INT TERM HUP USR1
	set +e
	_stop_children
	if [ "${outcome}" != ok ]; then
		[ "${_status}" -ne 0 ] || _status=1
		if [ -n "${state}" ] && [ -e "${state}/failure" ]; then
			{
				read -r outcome
				read -r outcome_message
				read -r outcome_remedy
			} <"${state}/failure"
		fi
		if [ -z "${outcome}" ]; then
			outcome=WorkerFailed
			outcome_message="the worker ended with status ${_status}"
			outcome_remedy='the last console lines tell more; report this build'
		fi
		if [ -n "${phase}" ]; then
			[ ! -s "${state}/${phase}.stderr" ] || tail -n 20 "${state}/${phase}.stderr" >&2
			say "phase=${phase} state=failed seconds=$(seconds_between "${phase_started}" "$(clock_now)") code=${outcome}"
		fi
	fi
	# Before the undoing, so that no tool that hangs in it can keep the report back. verify has let go of the disk by now.
	_report_line=$(_report)
	printf '%s\n' "${_report_line}"
	# For the bootstrap, which must not report in the place of a worker that has.
	[ -z "${state}" ] || : >"${state}/reported"
	_reported=$(date +%s)
	for _phase in ${phases_begun}; do
		"${_phase}_undo"
	done
	if [ -n "${state}" ]; then
		discard "${state}"
	fi
	if [ -n "${power_off}" ]; then
		# A second time, because the kernel writes its messages to the same console, into the middle of a line too.
		if [ "${job_linger}" -gt 0 ]; then
			_linger_until "${report_again}"
			printf '%s\n' "${_report_line}"
			_linger_until "${job_linger}"
		fi
		if [ -n "${FOUNDRY_POWER_OFF:-}" ]; then
			set -f
			${FOUNDRY_POWER_OFF}
		else
			platform_power_off
		fi
	fi
	exit "${_status}"
}

# _linger_until(seconds): waits until so long after the report, at most as long as the job says.
_linger_until() {
	[ "$1" -le "${job_linger}" ] || set -- "${job_linger}"
	_left=$((_reported + $1 - $(date +%s)))
	[ "${_left}" -le 0 ] || sleep "${_left}" >/dev/null 2>&1
}

_usage() {
	fail UsageError "$1" 'usage: main.sh --job FILE [--volume VOLUME_ID] --work DIRECTORY [--power-off]'
}

trap _finish EXIT
trap '_interrupted INT' INT
trap '_interrupted TERM' TERM
trap '_interrupted HUP' HUP
trap _deadline_passed USR1

case $(uname -s) in
FreeBSD)
	platform=freebsd
	. "${worker}/platform/freebsd.sh"
	. "${worker}/platform/freebsd-packages.sh"
	;;
Linux)
	platform=linux
	. "${worker}/platform/linux.sh"
	. "${worker}/platform/linux-packages.sh"
	;;
*) fail UnsupportedOnPlatform "the worker does not know $(uname -s)" 'run it on FreeBSD or Linux' ;;
esac

# First of all, so that a mistake in the rest still powers off.
for _argument in "$@"; do
	[ "${_argument}" != --power-off ] || power_off=yes
done
while [ $# -gt 0 ]; do
	case $1 in
	--power-off)
		shift
		continue
		;;
	--job | --volume | --work) ;;
	*) _usage "unknown option $1" ;;
	esac
	case ${2:-} in
	'' | -*) _usage "$1 needs a value" ;;
	esac
	case $1 in
	--job) job_file=$2 ;;
	--volume) volume=$2 ;;
	--work) work=$2 ;;
	esac
	shift 2
done
_missing=
[ -n "${job_file}" ] || _missing="${_missing} --job"
[ -n "${work}" ] || _missing="${_missing} --work"
[ -z "${_missing}" ] || _usage "missing:${_missing}"
case ${volume} in
vol-*[!0-9a-f]*) _usage "--volume ${volume} is not like vol-0123456789abcdef0" ;;
vol-?* | '') ;;
*) _usage "--volume ${volume} is not like vol-0123456789abcdef0" ;;
esac
mkdir -p -- "${work}" 2>/dev/null || _usage "--work ${work} cannot be made"
work=$(CDPATH='' cd -- "${work}" && pwd -P)
# mkdir is also the lock: two workers never share a directory.
mkdir "${work}/state" 2>/dev/null || _usage "--work ${work} is in use, was used before or cannot be written"
state=${work}/state
sets=${work}/sets
tree=${work}/tree
images=${work}/images

job_load "${job_file}"
if job_has upload.blocks.count; then
	[ -z "${volume}" ] || fail UsageError '--volume is given, and the job has URLs for the blocks of the disk' 'give one of the two'
else
	[ -n "${volume}" ] || fail UsageError '--volume is missing, and the job has no URLs for the blocks of the disk' 'give one of the two'
fi
say "build=${job_build} platform=${platform} version=1"
for _name in ${phases}; do
	_run_phase "${_name}"
done
outcome=ok
