"""Tests of dse.pipeline."""
