# The grammar of a job (docs/architecture.md, "Contract: worker"). Reads the job; ${JOB_STATE} is the worker's state directory.
#
# Writes each value into a file ${JOB_STATE}/job/KEY, the partitions to ${JOB_STATE}/layout (a line `index type label start size
# id content` for each, bytes), how many bytes the contents of files have to ${JOB_STATE}/job.bytes, and what the report needs,
# as far as it is right, to ${JOB_STATE}/job.first (build, then linger). Prints what is wrong, all of it at once, in one line.
#
# In awk, because sh reads(1) byte by byte: thousands of values and megabytes of content cost one process and one pass.
# Nothing of a job is ever evaluated.

BEGIN {
	state = ENVIRON["JOB_STATE"]
	# A console keeps 64 KB: a report that names thousands of keys would push itself out.
	most_problems = 100
	mebibyte = 1048576
}

function problem(text) {
	if (++problems <= most_problems) said = said (problems > 1 ? "; " : "") text
}

# A key that is not one may be any text of any length.
function shown(text) {
	text = substr(text, 1, 40)
	gsub(/[^A-Za-z0-9._-]/, "?", text)
	return text
}

{
	at = index($0, "=")
	if (at == 0) {
		problem("line " NR " is not key=value")
		next
	}
	key = substr($0, 1, at - 1)
	if (key !~ /^[a-z0-9.]+$/ || key ~ /^[.]/ || key ~ /[.]$/ || length(key) > 64) {
		problem("unknown key " shown(key) " in line " NR)
		next
	}
	if (key in value) {
		problem(key " is there twice")
		next
	}
	value[key] = substr($0, at + 1)
	keys[++key_count] = key
	file = state "/job/" key
	print value[key] > file
	close(file)
}

# Kinds. Every one is a question about a text; none of them is a number to awk before is_number has seen it.

# Without sign or leading zero: sh would read 010 as eight.
function is_number(text) {
	return text ~ /^[0-9]+$/ && (text == "0" || text !~ /^0/) && length(text) <= 15
}

function is_hex(text, digits) {
	return text ~ /^[0-9a-f]+$/ && length(text) == digits
}

function is_uuid(text, at) {
	if (length(text) != 36 || text ~ /[^0-9a-fA-F-]/) return 0
	for (at = 1; at <= 36; at++)
		if ((substr(text, at, 1) == "-") != (at == 9 || at == 14 || at == 19 || at == 24)) return 0
	return 1
}

# Names go into file names, GPT labels and console lines.
function is_name(text, longest) {
	return text ~ /^[A-Za-z0-9_][A-Za-z0-9._-]*$/ && length(text) <= longest
}

# pw(8): at most 32 bytes; what a shell, a path or a field of passwd(5) could trip over is left out.
function is_account(text) {
	return text ~ /^[A-Za-z_][A-Za-z0-9._-]*$/ && length(text) <= 32
}

# uid_t has 32 bits, and its largest value means "nobody in particular" to chown(2).
function is_id(text) {
	return is_number(text) && text + 0 < 4294967295
}

function is_url(text) {
	return text ~ /^https?:\/\/[A-Za-z0-9]/ && text !~ /[^A-Za-z0-9:\/?&=%._~+,@-]/ && text !~ /\/$/
}

# Every awk has its own idea of a bracket within brackets.
function unbracketed(text) {
	gsub(/\[/, "", text)
	gsub(/\]/, "", text)
	return text
}

# RFC 3986 without the fragment, which is no server's business. A presigned URL is one.
function is_source(text) {
	return text ~ /^https?:\/\/(\[|[A-Za-z0-9])/ && unbracketed(text) !~ /[^A-Za-z0-9:\/?&=%._~+,@!$'()*;-]/ && length(text) <= 4096
}

# pkg.conf(5) puts pkg+ in front of a URL whose host is looked up by its SRV records, and ${ABI} inside.
function is_repository(text) {
	sub(/^pkg[+]/, "", text)
	return text ~ /^https?:\/\/(\[|[A-Za-z0-9])/ && unbracketed(text) !~ /[^A-Za-z0-9:\/?&=%._~+,@{}$-]/
}

# An absolute path of a file in which every component stands for itself.
function is_path(text) {
	return text ~ /^\/.*[^\/]$/ && (text "/") !~ /\/\// && (text "/") !~ /\/[.][.]?\// && length(text) <= 1023
}

# A field of passwd(5) ends at a colon.
function is_account_path(text) {
	return (text == "/" || is_path(text)) && text !~ /:/
}

function is_base64(text, at, rest) {
	if (text ~ /[^A-Za-z0-9+\/=]/ || length(text) % 4 != 0) return 0
	at = index(text, "=")
	if (at == 0) return 1
	rest = substr(text, at)
	return rest == "=" || rest == "=="
}

# Bytes that a base64 text stands for.
function decoded(text, at) {
	at = index(text, "=")
	return length(text) / 4 * 3 - (at ? length(text) - at + 1 : 0)
}

function is_one_of(text, list) {
	return text ~ /^[^ ]+$/ && index(" " list " ", " " text " ") > 0
}

function is_account_list(text, names, count, i) {
	count = split(text, names, ",")
	for (i = 1; i <= count; i++)
		if (!is_account(names[i])) return 0
	return 1
}

# tzset(3): a path below /usr/share/zoneinfo.
function is_zone(text) {
	return text ~ /^[A-Za-z0-9_+-]+(\/[A-Za-z0-9_+-]+)*$/ && length(text) <= 64
}

# Names and origins, as pkg-install(8) takes them; no patterns.
function is_package(text) {
	return text ~ /^[A-Za-z0-9_][A-Za-z0-9._+@-]*(\/[A-Za-z0-9_][A-Za-z0-9._+@-]*)?$/ && length(text) <= 128
}

function is_dataset(text) {
	return text ~ /^[A-Za-z][A-Za-z0-9_]*(\/[A-Za-z0-9_][A-Za-z0-9_.:-]*)*$/ && length(text) <= 255
}

# makefs(8), "zfs-specific options": these six, and a comma would end the option.
function is_dataset_options(text, options, count, i, at, name, setting) {
	if (text ~ /,/) return 0
	count = split(text, options, ";")
	for (i = 1; i <= count; i++) {
		at = index(options[i], "=")
		name = substr(options[i], 1, at - 1)
		setting = substr(options[i], at + 1)
		if (name == "mountpoint") {
			if (setting != "none" && setting != "/" && !is_path(setting)) return 0
		} else if (name == "canmount") {
			if (!is_one_of(setting, "on off noauto")) return 0
		} else if (name == "compression") {
			if (setting !~ /^[a-z0-9-]+$/) return 0
		} else if (!is_one_of(name, "atime exec setuid") || !is_one_of(setting, "on off")) return 0
	}
	return 1
}

function is_kind(text, kind, argument) {
	if (kind == "number") return is_number(text)
	if (kind == "hex") return is_hex(text, argument)
	if (kind == "uuid") return is_uuid(text)
	if (kind == "name") return is_name(text, argument)
	if (kind == "account") return is_account(text)
	if (kind == "accounts") return is_account_list(text)
	if (kind == "id") return is_id(text)
	if (kind == "owner") return is_id(text) || is_account(text)
	if (kind == "url") return is_url(text)
	if (kind == "source") return is_source(text)
	if (kind == "repository") return is_repository(text)
	if (kind == "path") return is_path(text)
	if (kind == "account-path") return is_account_path(text)
	if (kind == "base64") return is_base64(text)
	if (kind == "mode") return text ~ /^[0-7][0-7][0-7][0-7]$/
	if (kind == "one-of") return is_one_of(text, argument)
	if (kind == "zone") return is_zone(text)
	if (kind == "package") return is_package(text)
	if (kind == "abi") return text ~ /^FreeBSD:[0-9]+:[a-z0-9]+$/
	if (kind == "priority") return text ~ /^-?[0-9]+$/ && length(text) <= 9
	if (kind == "dataset") return is_dataset(text)
	if (kind == "options") return is_dataset_options(text)
	return 0
}

function has(key) {
	return key in value
}

# The value of key, or "" when it is missing or of another kind, which is a problem.
function check(key, kind, argument, words) {
	known[key] = 1
	if (!has(key)) {
		problem(key " is missing")
		return ""
	}
	if (is_kind(value[key], kind, argument)) return value[key]
	problem(key " is not " (words == "" ? "a valid " kind : words))
	return ""
}

function check_if_there(key, kind, argument, words) {
	return has(key) ? check(key, kind, argument, words) : ""
}

function check_or_empty(key, kind, argument, words) {
	if (has(key) && value[key] == "") {
		known[key] = 1
		return ""
	}
	return check(key, kind, argument, words == "" ? "" : words " or empty")
}

# A count that is wrong must not make a loop of a billion rounds.
function number_of(key, least, most, number) {
	number = check(key, "number")
	if (number == "") return 0
	if (number + 0 < least || number + 0 > most) {
		problem(key " is not between " least " and " most)
		return 0
	}
	return number + 0
}

function source(key) {
	return check_if_there(key, "source", "", "an http or https URL")
}

# The URLs for pieces of a disk that no volume holds, and for their index. EBS makes snapshots of whole GiB.
function check_blocks(pieces, n) {
	if (!has("upload.blocks.count") && !has("upload.index")) return
	pieces = number_of("upload.blocks.count", 1, 1024)
	for (n = 1; n <= pieces; n++)
		if (source("upload.blocks." n) == "") problem("upload.blocks." n " is missing")
	if (source("upload.index") == "") problem("upload.index is missing")
	if (value["disk.size"] % 1073741824 != 0) problem("disk.size is no multiple of 1 GiB, as the disk of a snapshot is")
}

function check_mirrors_and_sets(origin, mirrors, sets, urls, n) {
	sets = number_of("set.count", origin == "pkgbase" ? 0 : 1, 64)
	for (n = 1; n <= sets; n++) {
		check("set." n ".name", "name", 64)
		if (check("set." n ".file", "name", 128) !~ /^$|.[.]txz$/) problem("set." n ".file is not a .txz file")
		check("set." n ".sha256", "hex", 64, "64 hex digits")
		check("set." n ".entries", "number")
		if (source("set." n ".url") != "") urls++
	}
	mirrors = number_of("mirror.count", urls + 0 == sets ? 0 : 1, 64)
	for (n = 1; n <= mirrors; n++) check("mirror." n, "url", "", "an http or https URL without a slash at the end")
}

function check_files(files, n, bytes) {
	files = number_of("file.count", 0, 4096)
	for (n = 1; n <= files; n++) {
		check("file." n ".path", "path", "", "an absolute path without . and .. in it")
		check("file." n ".mode", "mode", "", "four octal digits")
		check("file." n ".uid", "owner", "", "a number or a name")
		check("file." n ".gid", "owner", "", "a number or a name")
		if (has("file." n ".url")) {
			source("file." n ".url")
			check("file." n ".sha256", "hex", 64, "64 hex digits")
		} else bytes += decoded(check("file." n ".content", "base64"))
	}
	printf "%.0f\n", bytes > (state "/job.bytes")
}

function check_edits(edits, n) {
	edits = number_of("edit.count", 0, 1024)
	for (n = 1; n <= edits; n++) {
		check("edit." n ".path", "path", "", "an absolute path without . and .. in it")
		check("edit." n ".comment", "base64")
		check("edit." n ".first", "base64")
		check("edit." n ".last", "base64")
	}
}

# What is empty is not asked for: a new account gets what pw(8) would give it, an old one keeps what it has.
function check_accounts(groups, users, n) {
	groups = number_of("group.count", 0, 1024)
	for (n = 1; n <= groups; n++) {
		check("group." n ".name", "account", "", "a name of an account")
		check_or_empty("group." n ".gid", "id", "", "a number below 4294967295")
	}
	users = number_of("user.count", 0, 1024)
	for (n = 1; n <= users; n++) {
		check("user." n ".name", "account", "", "a name of an account")
		check_or_empty("user." n ".uid", "id", "", "a number below 4294967295")
		check_or_empty("user." n ".group", "account", "", "a name of an account")
		check_or_empty("user." n ".groups", "accounts", "", "a list of names with commas between")
		check("user." n ".comment", "base64")
		check_or_empty("user." n ".home", "account-path", "", "an absolute path without . and .. and colons in it")
		check_or_empty("user." n ".shell", "account-path", "", "an absolute path without . and .. and colons in it")
		check("user." n ".password", "base64")
		check("user." n ".keys", "base64")
	}
}

function check_packages(origin, packages, repositories, update, n, m, signature, fingerprints) {
	packages = number_of("package.count", 0, 4096)
	for (n = 1; n <= packages; n++) {
		check("package." n ".name", "package", "", "a name or origin of a package")
		check_or_empty("package." n ".repository", "name", 64)
	}
	repositories = number_of("repository.count", 0, 64)
	for (n = 1; n <= repositories; n++) {
		check("repository." n ".name", "name", 64)
		check("repository." n ".url", "repository", "", "an http or https URL")
		check("repository." n ".priority", "priority", "", "a whole number")
		signature = check("repository." n ".signature", "one-of", "fingerprints pubkey none", "fingerprints, pubkey or none")
		if (signature == "pubkey") check("repository." n ".key", "base64")
		if (signature != "fingerprints") continue
		if (has("repository." n ".keys")) {
			check("repository." n ".keys", "path", "", "an absolute path without . and .. in it")
			continue
		}
		fingerprints = number_of("repository." n ".fingerprint.count", 1, 64)
		for (m = 1; m <= fingerprints; m++) check("repository." n ".fingerprint." m, "hex", 64, "64 hex digits")
	}
	update = check("update", "one-of", "none freebsd-update pkg", "none, freebsd-update or pkg")
	if (packages > 0 || origin == "pkgbase" || update == "pkg" || has("package.abi") || has("package.osversion")) {
		check("package.abi", "abi", "", "like FreeBSD:15:amd64")
		check("package.osversion", "number")
	}
}

function check_scripts(scripts, n) {
	scripts = number_of("script.count", 0, 256)
	for (n = 1; n <= scripts; n++) {
		check("script." n ".name", "name", 64)
		check("script." n ".content", "base64")
	}
}

# The value of one of a dataset's options, or "".
function option(options, name, at) {
	at = index(";" options, ";" name "=")
	if (at == 0) return ""
	options = substr(options, at + length(name) + 1)
	sub(/;.*/, "", options)
	return options
}

function check_pool(pool, bootfs, datasets, n, name, parent, options, root) {
	pool = check("zfs.pool", "dataset")
	# makefs(8) refuses these (zfs_check_opts, usr.sbin/makefs/zfs.c), and a pool is no path.
	if (pool ~ /\// || pool ~ /^(mirror|raidz|draid)$/) problem("zfs.pool is not a name for a pool")
	bootfs = check("zfs.bootfs", "dataset")
	datasets = number_of("dataset.count", 1, 256)
	for (n = 1; n <= datasets; n++) {
		name = check("dataset." n ".name", "dataset")
		options = check_or_empty("dataset." n ".options", "options", "", "like mountpoint=/tmp;exec=on;setuid=off,")
		if (option(options, "mountpoint") == "/") root = 1
		if (name == "") continue
		parent = name
		sub(/\/[^\/]*$/, "", parent)
		if (name in made) problem("dataset." n ".name is there twice")
		if (name != pool && parent != pool && !(parent in made)) problem("dataset." n ".name has no parent among those before it")
		made[name] = option(options, "mountpoint")
		# makefs(8) of 14.0 makes none/NAME of it, and aborts (dsl_dir_get_mountpoint, usr.sbin/makefs/zfs/dsl.c).
		if (made[name] == "" && name != pool) {
			made[name] = made[parent]
			if (made[name] == "none") problem("dataset." n ".options have no mountpoint, and the parent's is none")
		}
	}
	if (bootfs != "" && datasets > 0 && !(bootfs in made)) problem("zfs.bootfs is none of the datasets")
	if (datasets > 0 && !root) problem("no dataset.options say mountpoint=/")
}

# The type that a partition of this content has.
function type_of(content, filesystem) {
	if (content == "boot") return "freebsd-boot"
	if (content == "efi") return "efi"
	if (content == "swap") return "freebsd-swap"
	if (content == "root" && filesystem == "zfs") return "freebsd-zfs"
	return "freebsd-ufs"
}

function check_partitions(filesystem, architecture, partitions, n, type, label, mount) {
	partitions = number_of("partition.count", 1, 16)
	for (n = 1; n <= partitions; n++) {
		type = check("partition." n ".type", "one-of", "freebsd-boot efi freebsd-swap freebsd-ufs freebsd-zfs", \
			"freebsd-boot, efi, freebsd-swap, freebsd-ufs or freebsd-zfs")
		content[n] = check("partition." n ".content", "one-of", "boot efi swap data root", "boot, efi, swap, data or root")
		label = check("partition." n ".label", "name", 36)
		check("partition." n ".size", "number")
		check("partition." n ".id", "uuid")
		if (label != "" && label in labels) problem("partition." n ".label is there twice")
		labels[label] = 1
		if (content[n] == "") continue
		if (type != "" && filesystem != "" && type != type_of(content[n], filesystem))
			problem("partition." n ".type is not " type_of(content[n], filesystem) ", which partition." n ".content=" content[n] " needs")
		if (content[n] in contents && content[n] !~ /^(swap|data)$/) problem("partition." n ".content is there twice: " content[n])
		contents[content[n]] = 1
		if (content[n] == "data") {
			# newfs(8), -L; MAXVOLLEN of sys/ufs/ffs/fs.h is 32 with the zero behind it.
			if (label ~ /[^A-Za-z0-9_-]/ || length(label) > 31) problem("partition." n ".label is no label for a UFS")
			mount = check("partition." n ".mount", "path", "", "an absolute path without . and .. in it")
			if (mount != "" && mount in mounts) problem("partition." n ".mount is there twice")
			mounts[mount] = 1
		}
		# growfs(7) can only make the partition larger that has nothing behind it.
		if (content[n] == "root" && n < partitions) problem("partition." n ".content is root, and it is not the last")
	}
	if (partitions > 0 && !("root" in contents)) problem("no partition.content is root")
	if (architecture == "arm64" && "boot" in contents)
		problem("partition.content boot is BIOS boot code, which arm64 does not have")
	return partitions
}

# All starts are aligned to 1 MiB, and the last MiB of the disk is left to the backup of the table.
function lay_out(partitions, n, next_start, end, size, key) {
	next_start = mebibyte
	end = (int(value["disk.size"] / mebibyte) - 1) * mebibyte
	for (n = 1; n <= partitions; n++) {
		key = "partition." n
		size = value[key ".size"] + 0
		if (size == 0) {
			size = end - next_start
			if (n < partitions) problem(key ".size is 0, and it is not the last")
		}
		if (size % 4096 != 0) problem(key ".size is no multiple of 4096")
		if (size <= 0 || next_start + size > end) problem(key ".size does not fit into disk.size")
		printf "%d %s %s %.0f %.0f %s %s\n", n, value[key ".type"], value[key ".label"], next_start, size, \
			value[key ".id"], content[n] > (state "/layout")
		next_start = int((next_start + size + mebibyte - 1) / mebibyte) * mebibyte
	}
}

END {
	# First what the report and the power-off need, so that they are right for a job that is otherwise wrong.
	build = check("build", "name", 128)
	linger = check("linger", "number")
	printf "%s\n%s\n", build, linger > (state "/job.first")

	check("version", "one-of", "3", "3, the only version this worker knows")
	check("deadline", "number")
	check("release", "name", 64)
	architecture = check("architecture", "one-of", "amd64 arm64", "amd64 or arm64")
	filesystem = check("filesystem", "one-of", "ufs zfs", "ufs or zfs")
	origin = check("system", "one-of", "sets pkgbase", "sets or pkgbase")
	check("timestamp", "number")
	check("filesystem.id", "hex", 16, "16 hex digits")
	check("disk.size", "number")
	check("disk.id", "uuid")
	check_if_there("timezone", "zone", "", "like Europe/Zurich")
	source("upload.manifest")
	source("upload.sbom")
	check_blocks()
	check_mirrors_and_sets(origin)
	check_files()
	check_edits()
	check_accounts()
	check_packages(origin)
	check_scripts()
	if (filesystem == "zfs") check_pool()
	partitions = check_partitions(filesystem, architecture)

	for (n = 1; n <= key_count; n++)
		if (!(keys[n] in known)) problem("unknown key " shown(keys[n]))
	if (problems == 0) lay_out(partitions)
	if (problems > most_problems) said = said "; and " (problems - most_problems) " more"
	if (problems > 0) print said
}
