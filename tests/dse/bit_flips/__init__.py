"""Tests of dse.bit_flips."""
