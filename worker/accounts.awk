# The groups and users of a job, applied to group(5) and master.passwd(5). Run by accounts.sh as
#
#   awk -f accounts.awk kind=group GROUP kind=passwd MASTER_PASSWD kind=groups TABLE kind=users TABLE
#
# with the names of what to write in the environment: accounts_group, accounts_passwd, accounts_homes (tab-separated: job's
# number, user, uid, gid, "make" or "keep" for the home directory, home) and accounts_problems (one line each, named by the job's key).
#
# Tables, tab-separated: number name gid; number name uid group groups comment home shell password. Numbers of accounts are
# compared as text without leading zeros: not every awk's integers go up to 2^32.

BEGIN {
	FS = "\t"
	lowest = 1001
	problems = 0
}

kind == "group" { group_line[++group_lines] = $0; read_entry($0, group_at, group_number, group_owner, group_lines) }
kind == "passwd" { user_line[++user_lines] = $0; read_entry($0, user_at, user_number, user_owner, user_lines) }
kind == "groups" { job_group[++job_groups] = $0; if ($3 != "") gid_wanted[plain($3)] = 1 }
kind == "users" { job_user[++job_users] = $0; if ($3 != "") uid_wanted[plain($3)] = 1 }

END {
	for (i = 1; i <= job_groups; i++) {
		split(job_group[i], wanted, "\t")
		apply_group("group." wanted[1], wanted[2], wanted[3])
	}
	for (i = 1; i <= job_users; i++) {
		split(job_user[i], wanted, "\t")
		apply_user(wanted[1], wanted[2], wanted[3], wanted[4], wanted[5], wanted[6], wanted[7], wanted[8], wanted[9])
	}
	if (problems) exit 0
	for (i = 1; i <= group_lines; i++) print group_line[i] >ENVIRON["accounts_group"]
	for (i = 1; i <= user_lines; i++) print user_line[i] >ENVIRON["accounts_passwd"]
}

# The first line of a name or number counts, as for getpwnam(3) and getgrgid(3).
function read_entry(line, at, number, owner, n, parts) {
	if (line ~ /^[ \t]*(#|$)/ || line ~ /^[+-]/) return
	split(line, parts, ":")
	if (!(parts[1] in at)) {
		at[parts[1]] = n
		number[parts[1]] = plain(parts[3])
	}
	if (!(plain(parts[3]) in owner)) owner[plain(parts[3])] = parts[1]
}

function plain(number) {
	sub(/^0+/, "", number)
	return number == "" ? "0" : number
}

function problem(key, text) {
	problems++
	printf "%s %s\n", key, text >ENVIRON["accounts_problems"]
}

# Names that no program of the base system takes for something else; digits alone would be a number.
function good_name(key, name) {
	if (name !~ /^[A-Za-z0-9_][A-Za-z0-9._-]*[$]?$/ || name ~ /^[0-9]+$/ || length(name) > 32) {
		problem(key, "is no name of up to 32 letters, digits, dots, dashes and underscores")
		return 0
	}
	return 1
}

# 2^32 - 1 is "no user" to chown(2).
function good_number(key, number) {
	if (number !~ /^[0-9]+$/ || length(plain(number)) > 10 || (length(plain(number)) == 10 && plain(number) "" > "4294967294")) {
		problem(key, "is no number from 0 to 4294967294")
		return 0
	}
	return 1
}

function good_text(key, text) {
	if (text ~ /[:[:cntrl:]]/) {
		problem(key, "has a colon or a control character")
		return 0
	}
	return 1
}

function good_path(key, path) {
	if (!good_text(key, path)) return 0
	if (path !~ /^\/[^\/]/ || path ~ /\/$/ || (path "/") ~ /\/\// || (path "/") ~ /\/[.][.]?\//) {
		problem(key, "is no absolute path without . and .. in it")
		return 0
	}
	return 1
}

function free_number(owner, reserved, n) {
	n = lowest
	while (n in owner || n in reserved) n++
	return n ""
}

function add_group(name, gid) {
	group_line[++group_lines] = name ":*:" gid ":"
	group_at[name] = group_lines
	group_number[name] = gid
	group_owner[gid] = name
}

function apply_group(key, name, gid) {
	if (!good_name(key ".name", name)) return
	if (gid != "" && !good_number(key ".gid", gid)) return
	if (gid != "") gid = plain(gid)
	if (name in group_at) {
		if (gid != "" && group_number[name] != gid)
			problem(key ".gid", "is " gid ", but the group " name " has " group_number[name])
		return
	}
	if (gid == "") gid = free_number(group_owner, gid_wanted)
	if (gid in group_owner) {
		problem(key ".gid", "is " gid ", which the group " group_owner[gid] " has")
		return
	}
	add_group(name, gid)
}

function add_member(group, user, parts, members, n, i) {
	split(group_line[group_at[group]], parts, ":")
	n = split(parts[4], members, ",")
	for (i = 1; i <= n; i++) if (members[i] == user) return
	group_line[group_at[group]] = parts[1] ":" parts[2] ":" parts[3] ":" parts[4] (parts[4] == "" ? "" : ",") user
}

function apply_user(number, name, uid, group, groups, comment, home, shell, password, key, bad, isnew, given, gid, parts, list, n, i) {
	key = "user." number
	bad = problems
	good_name(key ".name", name)
	if (uid != "") good_number(key ".uid", uid)
	if (group != "") good_name(key ".group", group)
	good_text(key ".comment", comment)
	if (home != "") good_path(key ".home", home)
	if (shell != "") good_path(key ".shell", shell)
	good_text(key ".password", password)
	if (problems > bad) return

	isnew = !(name in user_at)
	given = isnew || home != ""
	if (uid != "") uid = plain(uid)
	if (isnew) {
		if (uid == "") uid = free_number(user_owner, uid_wanted)
		if (uid in user_owner) problem(key ".uid", "is " uid ", which the user " user_owner[uid] " has")
		if (group == "") group = name
		if (home == "") home = "/home/" name
		if (shell == "") shell = "/bin/sh"
		if (password == "") password = "*"
	} else {
		if (uid != "" && user_number[name] != uid)
			problem(key ".uid", "is " uid ", but the user " name " has " user_number[name])
		uid = user_number[name]
	}
	n = split(groups, list, ",")
	for (i = 1; i <= n; i++) {
		if (!(list[i] in group_at) && list[i] != group)
			problem(key ".groups", "names the group " printable(list[i]) ", which is not there")
	}
	if (problems > bad) return

	if (group != "" && !(group in group_at))
		add_group(group, (uid in group_owner || uid in gid_wanted) ? free_number(group_owner, gid_wanted) : uid)
	for (i = 1; i <= n; i++) if (list[i] != group) add_member(list[i], name)
	if (isnew) {
		gid = group_number[group]
		user_line[++user_lines] = name ":" password ":" uid ":" gid "::0:0:" comment ":" home ":" shell
		user_at[name] = user_lines
		user_number[name] = uid
		user_owner[uid] = name
	} else {
		if (split(user_line[user_at[name]], parts, ":") != 10) {
			problem(key ".name", "is a user whose line in master.passwd has not ten fields")
			return
		}
		gid = group == "" ? parts[4] : group_number[group]
		if (password == "") password = parts[2]
		if (comment == "") comment = parts[8]
		if (home == "") home = parts[9]
		if (shell == "") shell = parts[10]
		user_line[user_at[name]] = name ":" password ":" uid ":" gid ":" parts[5] ":" parts[6] ":" parts[7] ":" comment ":" home ":" shell
	}
	printf "%s\t%s\t%s\t%s\t%s\t%s\n", number, name, uid, gid, (given ? "make" : "keep"), home >ENVIRON["accounts_homes"]
}

function printable(text) {
	gsub(/[^A-Za-z0-9._-]/, "?", text)
	return substr(text, 1, 40)
}
