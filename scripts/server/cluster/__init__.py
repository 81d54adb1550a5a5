"""A cluster that is kept for the next run: its folder as one sealed file, where it lies, and whether it is believed."""
