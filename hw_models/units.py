"""SI prefixes for literals; every quantity in the package is plain SI."""

FEMTO = 1e-15
PICO = 1e-12
NANO = 1e-9
MICRO = 1e-6
MILLI = 1e-3
KILO = 1e3
MEGA = 1e6
GIGA = 1e9

UM2 = 1e-12
"""One square micrometre in square metres."""

MM2 = 1e-6
"""One square millimetre in square metres."""
