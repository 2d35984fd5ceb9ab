# packages: nothing yet; a job cannot ask for any.

packages_check() { :; }

packages_run() { :; }

packages_undo() { :; }
