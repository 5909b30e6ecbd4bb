"""Many hardware designs for one compressed network, by the formulas that price one."""
