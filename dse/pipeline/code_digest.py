"""Digests of our own and of plugged-in code, so that changed code never meets old results."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from functools import cache
from pathlib import Path
from typing import Any


@cache
def package_digest(*packages: str) -> str:
    """Digest of every Python file of the packages."""
    digest = hashlib.sha256()
    for package in packages:
        module = importlib.import_module(package)
        assert module.__file__ is not None
        folder = Path(module.__file__).parent
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{package}/{file.relative_to(folder).as_posix()}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def object_digest(thing: Any) -> str:
    """Digest of the file that defines an object's class; its imports are not followed."""
    file = inspect.getsourcefile(type(thing))
    assert file is not None, f"{type(thing).__name__} has no source file"
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
