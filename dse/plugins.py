"""load(): a name, or `module:attribute`, to the object that it stands for."""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dse.errors import PluginError


def load(group: str, name: str) -> Any:
    """The object installed as `name` in an entry-point group, or found at `module:attribute`.

    Args:
        group: Such as `dse.samplers`.
        name: Installed name, or `package.module:attribute`.

    Raises:
        PluginError: Nothing of that name, or it cannot be imported.
    """
    if ":" in name:
        return load_attribute(name)
    found = _entries(group, tuple(sys.path))
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise PluginError(
            f"no {name!r} in {group!r}{hint} Installed: {', '.join(sorted(found))}. "
            "Your own goes by 'module:attribute'."
        )
    return found[name].load()


def load_attribute(path: str) -> Any:
    """The object at `package.module:attribute`.

    Raises:
        PluginError: Not of that form, or it cannot be imported.
    """
    module_name, _, attribute = path.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), *attribute.split(".")]):
        raise PluginError(f"expected 'package.module:attribute', got {path!r}")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise PluginError(
            f"{path}: cannot import {module_name!r} ({error}). The folder of the study file and "
            "the working folder are searched, then the installed packages."
        ) from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise PluginError(f"{path}: module {module_name!r} has no {attribute!r}")
        found = getattr(found, part)
    return found


def installed(group: str) -> tuple[str, ...]:
    """Names in an entry-point group, sorted."""
    return tuple(sorted(_entries(group, tuple(sys.path))))


@cache
def _entries(group: str, path: tuple[str, ...]) -> Mapping[str, EntryPoint]:
    """Entry points of a group, read once: looking through all packages takes milliseconds.

    Args:
        group: Its name.
        path: Where packages are looked for.
    """
    del path
    return MappingProxyType({entry.name: entry for entry in entry_points(group=group)})


def search_here(folders: Iterable[Path]) -> None:
    """Let `module:attribute` find modules in these folders, behind everything installed."""
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))
