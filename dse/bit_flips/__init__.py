"""Bit flips on integer codes after training, one scheme per file."""
