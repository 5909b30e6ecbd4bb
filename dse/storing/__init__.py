"""Storing: what databases need of their own, and many trials in one transaction."""
