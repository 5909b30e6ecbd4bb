"""Read a study file's YAML safely, and refuse a key that stands twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from dse.errors import SpecError


class _UniqueKeys(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(
                    None, None, f"a key is text, got {key!r}", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        SpecError: Not readable, not YAML, or not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SpecError(f"{path}: there is no such study file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as text: {error}") from None
    return parse_yaml(text, path.name)


def parse_yaml(
    text: str, name: str, check: Callable[[str], object] | None = None
) -> dict[str, Any]:
    """The mapping that a text is.

    Args:
        text: YAML.
        name: Of its file, for messages.
        check: Looks at the text before anything is made of it; what YAML itself finds wrong
            there is told as YAML's.

    Raises:
        SpecError: Not YAML, or not a mapping.
    """
    try:
        if check is not None:
            check(text)
        data = yaml.load(text, _UniqueKeys)  # noqa: S506  (a SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SpecError(f"{name}{at}: is not valid YAML: {problem}") from None
    except ValueError as error:  # a date or a number that cannot be
        raise SpecError(f"{name}: is not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise SpecError(
            f"{name}: a study file is a mapping with name, task, space and objectives; "
            f"got {type(data).__name__}"
        )
    return data
