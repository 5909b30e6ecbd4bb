"""The stages of an evaluation, one per file."""
