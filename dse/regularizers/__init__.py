"""Penalties that shape the codes during fine-tuning, one per file."""
