"""What the documents show runs as it stands there."""
