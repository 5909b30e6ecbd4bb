"""Colours of designs, the same in every picture: told apart by the colour-blind.

M. Okabe, K. Ito, "Color Universal Design", 2008. `assets/views.css` has them for light and dark.
"""

FRONT = "#0072b2"
OTHER = "#8a94a0"
INFEASIBLE = "#b0b7bf"
GIVEN = "#d55e00"
KNEE = "#009e73"
EXTREME = "#cc79a7"
"""On a white ground."""
