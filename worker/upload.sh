# Puts a file to a presigned URL. The URL is a secret: it is in no argument of a program, no message and no log.
#
# upload_file(key, file, what): puts file to the URL that the job has as key; fails with UploadFailed that calls it what.
# upload_by_hand(file, url): one try with FreeBSD's base system, where no program can PUT: HTTP/1.1 spoken through openssl(1)
#     or nc(1). Prints the status of the answer, or nothing if there was none; never fails.

# Seconds for one try: 10 MB at 50 KB/s.
upload_seconds=200

# Seconds of rest after each try. S3 asks for it with 503 and is ready again in seconds.
upload_rests='1 4 0'

upload_file() {
	job_get "$1"
	_upload_url=${value}
	for _upload_rest in ${upload_rests}; do
		: >"${state}/upload.stderr"
		_upload_status=$(platform_put "$2" "${_upload_url}" 2>"${state}/upload.stderr")
		case ${_upload_status} in
		2[0-9][0-9]) return 0 ;;
		'' | 000) _upload_said="no answer$(_upload_last_words)" ;;
		*) _upload_said="the answer is ${_upload_status}" ;;
		esac
		# Asking again does not change these; 408 and 429 ask for it.
		case ${_upload_status} in
		408 | 429) ;;
		4[0-9][0-9]) break ;;
		esac
		sleep "${_upload_rest}"
	done
	fail UploadFailed "$3 cannot be uploaded: ${_upload_said}" \
		'403 means that the link has expired or its bucket refuses it; without an answer, check that the subnet of the worker reaches S3'
}

# The tool's last words, without anything that looks like a URL or its query.
_upload_last_words() {
	_upload_words=$(grep -v '^$' "${state}/upload.stderr" | grep -i -E 'error|refused|timed out|resolve|verif|unreachable|curl:|nc:' | tail -n 1 |
		sed -e 's/[a-z]*:\/\/[^ ]*//g' -e 's/?[^ ]*//g') || :
	[ -z "${_upload_words}" ] || printf ': %s' "${_upload_words}"
}

upload_by_hand() {
	case $2 in
	http://*) _hand_port=80 ;;
	https://*) _hand_port=443 ;;
	*) return 0 ;;
	esac
	_hand_scheme=${2%%://*}
	_hand_rest=${2#*://}
	_hand_authority=${_hand_rest%%[/?]*}
	_hand_path=${_hand_rest#"${_hand_authority}"}
	case ${_hand_path} in /*) ;; *) _hand_path=/${_hand_path} ;; esac
	_hand_host=${_hand_authority}
	case ${_hand_authority} in
	*@*) return 0 ;;
	*:*)
		_hand_port=${_hand_authority##*:}
		_hand_host=${_hand_authority%:*}
		;;
	esac
	case ${_hand_host} in '' | -* | *[!A-Za-z0-9.-]*) return 0 ;; esac
	_hand_size=$(size_of "$1")
	# What the server sends back is short; it closes, which ends both programs.
	{
		printf 'PUT %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %s\r\nConnection: close\r\nUser-Agent: ami-foundry\r\n\r\n' \
			"${_hand_path}" "${_hand_authority}" "${_hand_size}"
		cat -- "$1"
	} | _hand_connection | head -c 4096 | tr -d '\r' | sed -n '1s/^HTTP\/1\.[01] \([0-9][0-9][0-9]\)\( .*\)*$/\1/p'
}

# s_client(1): -quiet keeps it from taking a line of the file for a command and from ending with its input. Without -verify it would
# go on with any certificate. The trusted ones are those of the base system, which certctl(8) manages.
_hand_connection() {
	case ${_hand_scheme} in
	https)
		timeout "${upload_seconds}" openssl s_client -quiet -connect "${_hand_host}:${_hand_port}" -servername "${_hand_host}" \
			-verify 9 -verify_return_error -verify_hostname "${_hand_host}" || :
		;;
	http) timeout "${upload_seconds}" nc -w 60 "${_hand_host}" "${_hand_port}" || : ;;
	esac
}
