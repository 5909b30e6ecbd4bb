"""What real devices and wires do to a column sum, one effect per file."""
