"""The blocks around an array, one level of the hierarchy per file."""
