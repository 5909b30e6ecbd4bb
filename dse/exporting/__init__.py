"""A design in the formats of other simulators, for a cross-check."""
