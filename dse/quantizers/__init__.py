"""Quantisers: from real weights and inputs to integer codes, one per file."""
