"""KnownDesigns: which designs were met already, also where knobs depend on others."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

MAX_SHAPES = 32
"""Sets of knobs that a design is compared with, so that it costs no more in rugged spaces."""


class KnownDesigns:
    """The designs met so far, by their checksums in this process.

    A design has the knobs that it asked for, one after the other; whoever has the same values of
    all of these is the same design, whatever its other coordinates are.
    """

    def __init__(self) -> None:
        self._results: dict[tuple[str, ...], set[int]] = {}
        self._failures: dict[tuple[str, ...], set[int]] = {}

    def note(self, params: Mapping[str, Any], *, free: Container[str], failed: bool) -> bool:
        """Remember a design.

        Args:
            params: Its knobs.
            free: Names of the knobs that have more than one value.
            failed: Whether it has no result; it may have failed before it had all its knobs.

        Returns:
            Whether it was not known, or as a failure only.
        """
        names = tuple([name for name in sorted(params) if name in free])
        designs = (self._failures if failed else self._results).setdefault(names, set())
        before = len(designs)
        designs.add(_checksum(params, names))
        return len(designs) > before

    def __contains__(self, params: Mapping[str, Any]) -> bool:
        """Whether a design that would take its knobs from `params`, all of them, was met."""
        for names in list(self._results)[:MAX_SHAPES]:
            if not names or any(name not in params for name in names):
                continue
            checksum = _checksum(params, names)
            if checksum in self._results[names] or checksum in self._failures.get(names, ()):
                return True
        return False


def _checksum(params: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return hash(tuple([params[name] for name in names]))
