#!/bin/sh
# User-data of a worker: fetches the worker and its job, checks both, and hands over. Runs as root under configinit
# (FreeBSD, on the console, boot waits for it) or cloud-init; whatever happens, it ends in power-off.
#
# The URLs are presigned, so they are secrets: nothing that may contain one reaches the console.

# The trap calls finish, which shellcheck does not see.
# shellcheck disable=SC2317
set +x +C -e -u

payload_url=@PAYLOAD_URL@
payload_sha256=@PAYLOAD_SHA256@
job_url=@JOB_URL@
job_sha256=@JOB_SHA256@
volume=@VOLUME@
build=@BUILD@

LC_ALL=C
export LC_ALL
umask 077
# Both run scripts with whatever environment boot has at that moment.
PATH=${PATH:-/bin}:/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin
HOME=${HOME:-/root}
export PATH HOME

# Seconds of rest between tries, about four minutes in all: the network of an instance may come up after its user-data.
rests='1 2 4 8 15 30 60 60 60'
owner=bootstrap
reason=
# What the worker leaves behind its report.
reported=/nonexistent

power_off() {
	if [ -n "${FOUNDRY_POWER_OFF:-}" ]; then
		set -f
		${FOUNDRY_POWER_OFF}
		return
	fi
	# The console must be polled while the instance runs.
	[ -e "${reported}" ] || sleep 60
	case $(uname -s) in
	FreeBSD)
		shutdown -p now
		hold
		;;
	*) poweroff ;;
	esac
}

# shutdown(8) returns before anything is shut down. rc(8) waits for this script and must not go on meanwhile: services,
# first-boot updates, their reboot. init(8) ends the sleep; it can miss the signal if it comes while a child is being collected
# (run_script, sbin/init/init.c, of 13 and 14), but halt(8) needs no init.
hold() {
	[ -z "${FOUNDRY_POWER_OFF:-}" ] && [ "$(uname -s)" = FreeBSD ] || return 0
	trap - INT TERM HUP
	sleep 60
	halt -p
}

# give_up(code, message, remedy)
give_up() {
	printf 'foundry-report: {"version":1,"build":"%s","ok":false,"phase":"bootstrap","code":"%s","message":"%s","remedy":"%s","seconds":%s,"phases":[]}\n' \
		"${build}" "$1" "$(printf '%s' "$2" | tr -d '\000-\037"\134')" "$3" $(($(date +%s) - began))
	owner=nobody
	exit 1
}

finish() {
	status=$?
	trap - EXIT
	trap : INT TERM HUP
	set +e
	case ${owner} in
	worker) hold ;;
	nobody) power_off ;;
	bootstrap)
		# A worker that has reported may be ended by the very shutdown that it asked for.
		[ -e "${reported}" ] ||
			(give_up WorkerFailed "the bootstrap, or the worker under it, ended with status ${status}" 'the console lines above tell more')
		power_off
		;;
	esac
	# Nothing is removed: the machine goes away with its disk.
	exit "${status}"
}

sha256_of() {
	if command -v sha256 >/dev/null 2>&1; then
		sha256 -q "$1"
	else
		sha256sum "$1" | cut -d ' ' -f 1
	fi
}

# download(url, file): sets ${reason} to why not, without the URL.
download() {
	tried=0
	if [ "$(uname -s)" = FreeBSD ]; then
		fetch -q -T 60 -o "$2" "$1" 2>"${directory}/said" || tried=$?
	elif command -v curl >/dev/null 2>&1; then
		curl -q --globoff -sSfL --connect-timeout 20 --max-time 300 -o "$2" "$1" 2>"${directory}/said" || tried=$?
	else
		wget -q -T 60 -O "$2" "$1" 2>"${directory}/said" || tried=$?
	fi
	reason=$(tail -n 1 "${directory}/said" | sed 's/[a-z]*:\/\/[^ ]*//g')
	return "${tried}"
}

# get(what, url, sha256, file)
get() {
	attempt=0
	for rest in ${rests} last; do
		attempt=$((attempt + 1))
		if download "$2" "$4"; then
			actual=$(sha256_of "$4")
			[ "${actual}" != "$3" ] || return 0
			give_up PayloadChecksumMismatch "the $1 has SHA-256 ${actual}, expected $3" 'the object was replaced after the build had started: start it again'
		fi
		# Asking again does not help a link that has expired.
		case ${attempt}${reason} in
		[3-9]*403* | [3-9]*404* | [3-9]*Forbidden* | [3-9]*'Not Found'*) break ;;
		esac
		[ "${rest}" = last ] || sleep "${rest}"
	done
	give_up PayloadUnavailable "the $1 cannot be fetched after ${attempt} tries: ${reason:-no answer}" \
		'check that the subnet of the worker reaches S3 and that the links have not expired'
}

began=$(date +%s)
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

directory=$(mktemp -d "${TMPDIR:-/var/tmp}/foundry.XXXXXX")
reported=${directory}/work/state/reported
get payload "${payload_url}" "${payload_sha256}" "${directory}/payload.tar.gz"
get job "${job_url}" "${job_sha256}" "${directory}/job"
mkdir "${directory}/payload"
tar -xzf "${directory}/payload.tar.gz" -C "${directory}/payload" 2>"${directory}/said" ||
	give_up PayloadChecksumMismatch "the payload cannot be unpacked: $(tail -n 1 "${directory}/said")" 'the factory uploaded a broken payload: deploy it again'

run() {
	status=0
	sh "${directory}/payload/worker/main.sh" --job "${directory}/job" ${volume:+--volume "${volume}"} --work "${directory}/work" --power-off || status=$?
	printf '%s\n' "${status}" >"${directory}/status"
}

# configinit's output is the console; cloud-init's may be only a log file. A process instance has no console but its output.
if [ -z "${FOUNDRY_DEV:-}" ] && ! [ -t 1 ] && (: >/dev/console) 2>/dev/null; then
	run 2>&1 | while IFS= read -r line; do
		printf '%s\n' "${line}"
		case ${line} in
		foundry*) printf '%s\n' "${line}" >/dev/console || : ;;
		esac
	done
else
	run
fi
read -r status <"${directory}/status"
# The worker reports and powers off itself, unless a signal that nobody can catch ended it.
[ "${status}" -ge 128 ] || owner=worker
exit "${status}"
