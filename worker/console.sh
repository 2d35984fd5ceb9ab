# The console: the worker's only channel. Its lines are a contract (docs/architecture.md, "Contract: worker").
#
# say(line...): prints one protocol line.
# clock_now(): prints the time in seconds, with a fraction where date(1) can tell one.
# seconds_between(from, to): prints the difference with one decimal.
# json_string(text): prints text as a JSON string.
# one_line(text): prints text as exactly one line.

say() {
	printf 'foundry: %s\n' "$*"
}

clock_now() {
	# FreeBSD's strftime(3) has no %N before 14.1 and leaves the letter in place.
	_clock=$(date +%s.%N)
	case $_clock in
	*[!0-9.]*) date +%s ;;
	*) printf '%s\n' "$_clock" ;;
	esac
}

seconds_between() {
	awk -v from="$1" -v to="$2" 'BEGIN { d = to - from; if (d < 0) d = 0; printf "%.1f\n", d }'
}

one_line() {
	# A console may show whatever a mirror or tool said: no control character of theirs gets through.
	printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037\177'
	printf '\n'
}

json_string() {
	# sed escapes what JSON must have escaped, awk turns line ends into \n; bytes over 127 stay as they are.
	printf '"'
	printf '%s\n' "$1" | tr '\t' ' ' | tr -d '\000-\011\013-\037\177' |
		sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' | awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }'
	printf '"'
}
