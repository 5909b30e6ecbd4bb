"""Tests of dse.quantizers."""
