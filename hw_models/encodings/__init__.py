"""How integer codes sit in memory cells, one encoding per file."""
