"""Tests of dse.training."""
