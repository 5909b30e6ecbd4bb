"""Image data sets, verified by digest before use, one per file."""
