# customise: nothing yet; a job cannot ask for any.

customise_check() { :; }

customise_run() { :; }

customise_undo() { :; }
