"""What a run leaves behind: one statement a gate, written before anything runs and settled afterwards."""
