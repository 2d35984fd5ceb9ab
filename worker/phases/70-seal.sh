# seal: nothing to take out; a tree of sets has no machine's identity (host keys, hostid) in it.

seal_check() { :; }

seal_run() { :; }

seal_undo() { :; }
