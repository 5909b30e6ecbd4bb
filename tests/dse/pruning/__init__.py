"""Tests of dse.pruning."""
