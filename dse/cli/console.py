"""The console that commands print to; brackets in our texts are no markup."""

from __future__ import annotations

from rich.console import Console


def make_console(*, wrap: bool = True) -> Console:
    """Standard output.

    Args:
        wrap: Break long lines at the width of the terminal.
    """
    return Console(markup=False, highlight=False, soft_wrap=not wrap)
