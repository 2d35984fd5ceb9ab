# Groups and users of the job, in the tree's own account files.
#
# accounts_apply(): nothing yet.
# account_uid(name), account_gid(name): print the number that the tree's etc/passwd or etc/group gives the name; false if there is none.

accounts_apply() { :; }

account_uid() {
	return 1
}

account_gid() {
	return 1
}
