"""A server from programs on this machine: its folder, the process that ends it with its run, and the sweep."""
