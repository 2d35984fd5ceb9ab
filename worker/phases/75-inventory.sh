# inventory: nothing yet.

inventory_check() { :; }

inventory_run() { :; }

inventory_undo() { :; }
