# fetch: the sets, from the mirrors in order or from a URL of their own, and the files that the job has a URL for. What comes
# counts only once its SHA-256 is the job's; every other outcome leads to the next source, and what one source did is told apart
# from what all of them did.
#
# A URL may be presigned: its query is a secret, and no message shows it. The tools' words, which have it, stay in fetch.said:
# fetch.stderr is the phase's own, which the console shows when the phase fails.

# Rounds over all sources, with the seconds of rest after each: a server that is restarting is back by then.
fetch_rests='1 3 0'

fetch_check() { :; }

fetch_run() {
	mkdir "${sets:?}"
	_fetch_sum=0
	_fetch_n=0
	while [ "${_fetch_n}" -lt "${job_sets}" ]; do
		_fetch_n=$((_fetch_n + 1))
		job_get "set.${_fetch_n}.file"
		_fetch_name=${value}
		_fetch_key=set.${_fetch_n}
		_fetch_file=${sets}/${_fetch_n}.txz
		_fetch_from_sources
		[ "${_fetch_outcome}" = complete ] || _fetch_set_failed
	done
	_fetch_n=0
	while [ "${_fetch_n}" -lt "${job_files}" ]; do
		_fetch_n=$((_fetch_n + 1))
		_fetch_key=file.${_fetch_n}
		job_has "${_fetch_key}.url" || continue
		job_get "${_fetch_key}.path"
		_fetch_name=${value}
		_fetch_file=${sets}/${_fetch_key}
		_fetch_from_sources
		[ "${_fetch_outcome}" = complete ] || _fetch_file_failed
	done
	phase_bytes "${_fetch_sum}"
}

# Gets what ${_fetch_key} names into ${_fetch_file}. Sets ${_fetch_outcome} to complete or to what the last source did,
# ${_fetch_seen} to all outcomes and ${_fetch_notes} to a word on each try.
_fetch_from_sources() {
	job_get "${_fetch_key}.sha256"
	_fetch_wanted=${value}
	_fetch_own=
	_fetch_count=${job_mirrors}
	if job_has "${_fetch_key}.url"; then
		_fetch_own=yes
		_fetch_count=1
	fi
	progress_of file "${_fetch_file}" 0
	_fetch_given_up=' '
	_fetch_seen=' '
	_fetch_notes=
	for _fetch_rest in ${fetch_rests}; do
		_fetch_source=0
		while [ "${_fetch_source}" -lt "${_fetch_count}" ]; do
			_fetch_source=$((_fetch_source + 1))
			case ${_fetch_given_up} in *" ${_fetch_source} "*) continue ;; esac
			if [ -n "${_fetch_own}" ]; then
				job_get "${_fetch_key}.url"
				_fetch_url=${value}
			else
				job_get "mirror.${_fetch_source}"
				_fetch_url=${value}/${_fetch_name}
			fi
			_fetch_from_source
			if [ "${_fetch_outcome}" = complete ]; then
				_fetch_sum=$((_fetch_sum + $(size_of "${_fetch_file}")))
				return 0
			fi
			rm -f "${_fetch_file:?}"
			_fetch_seen="${_fetch_seen}${_fetch_outcome} "
			_fetch_public
			_fetch_notes="${_fetch_notes}${_fetch_notes:+; }${_fetch_shown}: ${_fetch_detail}"
			# Asking again does not change these.
			case ${_fetch_outcome} in
			missing | mismatch) _fetch_given_up="${_fetch_given_up}${_fetch_source} " ;;
			esac
		done
		# shellcheck disable=SC2086 # a list of words
		set -- ${_fetch_given_up}
		[ $# -lt "${_fetch_count}" ] || break
		sleep "${_fetch_rest}"
	done
}

# Sets ${_fetch_shown} to the URL without its query and without a password, and takes queries out of the tool's words.
_fetch_public() {
	_fetch_shown=${_fetch_url%%'?'*}
	_fetch_rest_of=${_fetch_shown#*://}
	_fetch_authority=${_fetch_rest_of%%/*}
	_fetch_shown=${_fetch_shown%%://*}://${_fetch_authority##*@}${_fetch_rest_of#"${_fetch_authority}"}
	case ${_fetch_detail} in
	*'?'*=*) _fetch_detail=$(printf '%s' "${_fetch_detail}" | sed 's/?[^ ]*=[^ ]*//g') ;;
	esac
}

_fetch_set_failed() {
	_fetch_where=${_fetch_own:+not at its URL}
	case ${_fetch_seen} in
	*' mismatch '*)
		fail SetChecksumMismatch "${_fetch_name} is not what the MANIFEST says, expected SHA-256 ${_fetch_wanted}; ${_fetch_notes}" \
			'a mirror or proxy serves something else or an older file: name another mirror'
		;;
	*' truncated '*)
		fail SetTruncated "${_fetch_name} ended early on every try; ${_fetch_notes}" 'try again later or name another mirror'
		;;
	*' missing '*)
		fail SetNotFound "${_fetch_name} is ${_fetch_where:-on no mirror}; ${_fetch_notes}" \
			'check release and architecture; old releases move to the archive mirror'
		;;
	esac
	if [ -n "${_fetch_own}" ]; then
		fail SourceUnavailable "${_fetch_name} cannot be fetched from its URL; ${_fetch_notes}" \
			"check the URL and that the worker's subnet reaches it"
	fi
	fail MirrorUnreachable "no mirror answered for ${_fetch_name}; ${_fetch_notes}" \
		"check the mirrors' names and that the worker's subnet reaches them"
}

_fetch_file_failed() {
	case ${_fetch_seen} in
	*' mismatch '*)
		fail SourceUnavailable "the source of ${_fetch_name} is not the one expected, SHA-256 ${_fetch_wanted}; ${_fetch_notes}" \
			'the object was replaced: put the old one back or give its new SHA-256'
		;;
	esac
	fail SourceUnavailable "the source of ${_fetch_name} cannot be fetched; ${_fetch_notes}" \
		"check that the object is there, and that the worker's subnet reaches it"
}

# One source's turn: sets ${_fetch_outcome} to complete, mismatch, truncated, missing or unreachable, and ${_fetch_detail}.
# It lasts as long as each request gets further than all before it.
_fetch_from_source() {
	_fetch_furthest=0
	_fetch_detail='no request was answered in full'
	while :; do
		if [ -s "${_fetch_file}" ]; then
			_fetch_resumed=yes
			_fetch_status=0
			platform_resume "${_fetch_url}" "${_fetch_file}" 2>"${state}/fetch.said" || _fetch_status=$?
			platform_sha256 <"${_fetch_file}" >"${state}/fetch.sha256"
		else
			_fetch_resumed=
			_fetch_stream
		fi
		read -r _fetch_sha256 <"${state}/fetch.sha256"
		# Whatever the tool said: these are the bytes.
		if [ "${_fetch_sha256}" = "${_fetch_wanted}" ]; then
			_fetch_outcome=complete
			return 0
		fi
		_fetch_size=$(size_of "${_fetch_file}")
		# Sets ${_fetch_verdict} and ${_fetch_said} from the tool's status and words.
		platform_fetch_verdict "${_fetch_status}" "${_fetch_size}"
		case ${_fetch_verdict}${_fetch_resumed:+,resumed} in
		complete)
			_fetch_outcome=mismatch
			_fetch_detail="got ${_fetch_size} bytes with SHA-256 ${_fetch_sha256}"
			case ${_fetch_key} in
			set.*) _fetch_detail="${_fetch_detail}$(_fetch_guess)" ;;
			esac
			return 0
			;;
		# The parts may be of two files, or the server cannot resume: from the beginning.
		complete,resumed | no-ranges*) rm -f "${_fetch_file:?}" ;;
		*)
			_fetch_outcome=${_fetch_verdict}
			_fetch_detail=${_fetch_said}
			[ "${_fetch_verdict}" = truncated ] && [ "${_fetch_size}" -gt "${_fetch_furthest}" ] || return 0
			_fetch_furthest=${_fetch_size}
			;;
		esac
		sleep 1
	done
}

# The whole file in one request, hashed while it comes in.
_fetch_stream() {
	rm -f "${state:?}/fetch.full"
	{
		_fetch_status=0
		platform_stream "${_fetch_url}" 2>"${state}/fetch.said" || _fetch_status=$?
		printf '%s\n' "${_fetch_status}" >"${state}/fetch.status"
	} | {
		tee -- "${_fetch_file}" || : >"${state}/fetch.full"
	} | platform_sha256 >"${state}/fetch.sha256"
	if [ -e "${state}/fetch.full" ]; then
		_fetch_detail=$(tail -n 1 "${state}/fetch.said")
		_fetch_public
		fail WorkerFailed "${_fetch_file} cannot be written: ${_fetch_detail}" 'give the worker a larger root volume'
	fi
	read -r _fetch_status <"${state}/fetch.status"
}

# A captive portal or a mirror's "moved" page comes with status 200.
_fetch_guess() {
	case $(head -c 6 "${_fetch_file}" | od -An -tx1 | tr -d ' \n') in
	fd377a585a00) ;;
	3c*) printf ': it is a web page, not an xz archive' ;;
	*) printf ': it is not an xz archive' ;;
	esac
}

fetch_undo() {
	discard "${sets}"
}
