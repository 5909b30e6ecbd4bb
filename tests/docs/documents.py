"""Documents taken apart: fenced blocks, commands, links, headings."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

DOCUMENTS = (
    "README.md",
    "studies/README.md",
    *sorted(str(file.relative_to(ROOT)) for file in (ROOT / "docs").rglob("*.md")),
)
"""All of them, by their paths."""

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"# ([\w.-]+\.(?:py|yaml))\n")
_SPAN = re.compile(r"`(dse [^`]+)`")
_LINK = re.compile(r"(?<!\\)\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block.

    Attributes:
        document: Path of the document.
        line: Where it starts.
        language: As the fence says.
        text: What it holds.
    """

    document: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        """For messages."""
        return f"{self.document}:{self.line}"

    @property
    def file(self) -> str | None:
        """Name of the file that the block is, if its first line is a comment that names one."""
        found = _FILE.match(self.text)
        return None if found is None else found[1]

    def commands(self) -> list[str]:
        """What follows the prompts, without comments; of a script, its lines that call dse."""
        text = self.text.replace("\\\n", " ")
        if self.language == "console":
            lines = [line[2:] for line in text.splitlines() if line.startswith("$ ")]
        else:
            lines = [line for line in text.splitlines() if line.startswith("dse ")]
        return [shlex.join(shlex.split(line, comments=True)) for line in lines]


def text_of(document: str) -> str:
    """A document."""
    return (ROOT / document).read_text(encoding="utf-8")


def blocks(document: str) -> list[Block]:
    """Its fenced blocks, in order."""
    text = text_of(document)
    return [
        Block(
            document=document,
            line=text.count("\n", 0, found.start()) + 1,
            language=found[1],
            text=found[2],
        )
        for found in _FENCE.finditer(text)
    ]


def prose(document: str) -> str:
    """Without the blocks."""
    return _FENCE.sub("", text_of(document))


def spans(document: str) -> list[str]:
    """Commands in running text."""
    return [" ".join(span.split()) for span in _SPAN.findall(prose(document))]


def links(document: str) -> list[str]:
    """Targets of links and images."""
    return _LINK.findall(prose(document))


def anchors(document: str) -> set[str]:
    """Of its headings, as GitHub and MkDocs make them."""
    found: set[str] = set()
    for heading in _HEADING.findall(prose(document)):
        words = re.sub(r"[^\w\s-]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
        found.add(re.sub(r"[\s]+", "-", words.strip()))
    return found
