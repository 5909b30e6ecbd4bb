"""Tests of dse.datasets."""
