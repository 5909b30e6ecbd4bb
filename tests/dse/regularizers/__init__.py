"""Tests of dse.regularizers."""
