# The software bill of materials: CycloneDX 1.6 (ECMA-424), JSON, of ${state}/packages and the job.
#
# sbom_write(): prints it. Everything is a function of job and packages: the serial number is the disk's GUID, the time the job's.

sbom_write() {
	read -r _sbom_level <"${state}/patch-level"
	job_get release
	_sbom_n=0
	while [ "${_sbom_n}" -lt "${job_sets}" ]; do
		_sbom_n=$((_sbom_n + 1))
		_sbom_release=${value}
		job_get "set.${_sbom_n}.name"
		_sbom_set=${value}
		job_get "set.${_sbom_n}.sha256"
		printf '%s\t%s\n' "${_sbom_set}" "${value}"
		value=${_sbom_release}
	done >"${state}/sbom.sets"
	# Not -v, which reads backslashes: none of these has one, but they come from outside.
	SBOM_RELEASE=${value} SBOM_LEVEL=${_sbom_level} SBOM_BUILD=${job_build} SBOM_ARCHITECTURE=${job_architecture} \
		SBOM_FILESYSTEM=${job_filesystem} SBOM_SERIAL=${job_disk_id} SBOM_TIME=${job_timestamp} \
		awk -F '\t' '
		# Bytes over 127 are UTF-8 of names in a database that nobody checked: JSON must be valid whatever they are.
		function text(s,   i, c, out) {
			out = ""
			for (i = 1; i <= length(s); i++) {
				c = substr(s, i, 1)
				if (c == "\"" || c == "\\") out = out "\\" c
				else if (c ~ /[ -~]/) out = out c
				else out = out "?"
			}
			return "\"" out "\""
		}
		# RFC 3986, unreserved characters.
		function percent(s,   i, c, out) {
			out = ""
			for (i = 1; i <= length(s); i++) {
				c = substr(s, i, 1)
				out = out (c ~ /[A-Za-z0-9._~-]/ ? c : sprintf("%%%02X", code[c]))
			}
			return out
		}
		# Days to a date, with years that begin in March, so that the leap day is the last of one.
		function iso(epoch,   days, era, day, year, month, seconds) {
			days = int(epoch / 86400); seconds = epoch - days * 86400; days += 719468
			era = int(days / 146097); day = days - era * 146097
			year = int((day - int(day / 1460) + int(day / 36524) - int(day / 146096)) / 365)
			day = day - (365 * year + int(year / 4) - int(year / 100))
			month = int((5 * day + 2) / 153); day = day - int((153 * month + 2) / 5) + 1
			year += era * 400; month += month < 10 ? 3 : -9; if (month <= 2) year++
			return sprintf("%04d-%02d-%02dT%02d:%02d:%02dZ", year, month, day, int(seconds / 3600), int(seconds / 60) % 60, seconds % 60)
		}
		function property(name, value) { return "{\"name\":" text("ami-foundry:" name) ",\"value\":" text(value) "}" }
		function hashes(sha256) { return sha256 ~ /^[0-9a-f]+$/ && length(sha256) == 64 ? ",\"hashes\":[{\"alg\":\"SHA-256\",\"content\":\"" sha256 "\"}]" : "" }
		function component(body) { printf "%s%s", (components++ ? "," : ""), body }
		function depends(ref) { needed = needed (needed == "" ? "" : ",") text(ref) }
		BEGIN {
			for (i = 1; i < 256; i++) code[sprintf("%c", i)] = i
			release = ENVIRON["SBOM_RELEASE"]
			printf "{\"$schema\":\"http://cyclonedx.org/schema/bom-1.6.schema.json\",\"bomFormat\":\"CycloneDX\",\"specVersion\":\"1.6\""
			printf ",\"serialNumber\":\"urn:uuid:%s\",\"version\":1", tolower(ENVIRON["SBOM_SERIAL"])
			printf ",\"metadata\":{\"timestamp\":\"%s\",\"tools\":{\"components\":[{\"type\":\"application\",\"name\":\"ami-foundry\"}]}", iso(ENVIRON["SBOM_TIME"])
			printf ",\"component\":{\"type\":\"operating-system\",\"bom-ref\":\"image\",\"name\":\"FreeBSD\",\"version\":%s,\"properties\":[%s,%s,%s,%s]}}", \
				text(ENVIRON["SBOM_LEVEL"]), property("build", ENVIRON["SBOM_BUILD"]), property("release", release), \
				property("architecture", ENVIRON["SBOM_ARCHITECTURE"]), property("filesystem", ENVIRON["SBOM_FILESYSTEM"])
			printf ",\"components\":["
		}
		FILENAME == ARGV[1] {
			ref = "set:" $1
			component("{\"type\":\"file\",\"bom-ref\":" text(ref) ",\"name\":" text($1) ",\"version\":" text(release) hashes($2) "}")
			depends(ref)
			next
		}
		{
			ref = "package:" $1 "@" $2
			body = "{\"type\":\"" ($1 ~ /^FreeBSD-/ ? "operating-system" : "library") "\",\"bom-ref\":" text(ref) ",\"name\":" text($1) ",\"version\":" text($2) hashes($8)
			count = split($5, license, ",")
			list = ""
			for (i = 1; i <= count; i++) if (license[i] != "") list = list (list == "" ? "" : ",") "{\"license\":{\"name\":" text(license[i]) "}}"
			if (list != "") body = body ",\"licenses\":[" list "]"
			body = body ",\"purl\":" text("pkg:generic/freebsd/" percent($1) "@" percent($2))
			if ($6 ~ /^https?:\/\/[A-Za-z0-9._~:\/?#@!$&()*+,;=%-]+$/ && $6 !~ /%([^0-9A-Fa-f]|.[^0-9A-Fa-f]|.?$)/ && $6 !~ /#.*#/)
				body = body ",\"externalReferences\":[{\"type\":\"website\",\"url\":" text($6) "}]"
			body = body ",\"properties\":[" property("origin", $3) "," property("abi", $4) "," property("repository", $7) "]}"
			component(body)
			depends(ref)
		}
		END { printf "],\"dependencies\":[{\"ref\":\"image\",\"dependsOn\":[%s]}]}\n", needed }' "${state}/sbom.sets" "${state}/packages"
}
