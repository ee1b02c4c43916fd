"""The archive: the published file, its side-cars, and the order in which they appear."""
