"""Tests of dse.tasks."""
