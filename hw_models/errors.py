"""The errors of the hardware models.

HardwareError
+-- MappingError    codes, layers or a network do not fit the chip or each other
"""


class HardwareError(Exception):
    """A hardware description says something that cannot hold."""


class MappingError(HardwareError):
    """Codes, layers or a network do not fit the chip or each other."""
