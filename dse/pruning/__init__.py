"""Pruning techniques, one per file."""
