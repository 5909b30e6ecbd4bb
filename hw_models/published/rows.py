"""Every published number that the project sets itself against, from `rows.csv`."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, cast

How = Literal["A", "T", "C"]
"""A: analytic, asserted. T: by training, compared by a study. C: a claim, never asserted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedRow:
    """One published result; several numbers in one cell are separated by `|`.

    Attributes:
        id: Name of the row.
        system: Published system, a key of `PAPERS`.
        model: Network.
        dataset: Data set.
        metric: What is measured, in which unit.
        published: As printed.
        tolerance: Absolute distance that still counts as the same, in the metric's unit.
        how: How it can be checked.
        recipe: What has to be computed or trained.
        by: Study or benchmark that reproduces a trained row; empty if there is none yet.
    """

    id: str
    system: str
    model: str
    dataset: str
    metric: str
    published: str
    tolerance: str
    how: How
    recipe: str
    by: str

    def numbers(self) -> tuple[float, ...]:
        """The printed numbers."""
        return tuple(float(text) for text in self.published.split("|"))

    def tolerances(self) -> tuple[float, ...]:
        """Absolute tolerance of each printed number; `1 %` is relative to it."""
        texts = self.tolerance.split("|")
        numbers = self.numbers()
        if len(texts) == 1:
            texts = texts * len(numbers)
        return tuple(
            float(text.rstrip(" %")) / 100 * number if text.endswith("%") else float(text)
            for text, number in zip(texts, numbers, strict=True)
        )


PAPERS = {
    "bitslice": "J. Zhang et al., Exploring Bit-Slice Sparsity in Deep Neural Networks for "
    "Efficient ReRAM-Based Deployment, 2019",
    "bitsnet": "BitS-Net",
    "pqpim": "PQ-PIM",
    "bittransformer": "Liu et al., Bit-Transformer, ICCAD 2021",
    "sme": "SME",
    "apot": "APoT, ICLR 2020",
    "isaac": "A. Shafiee et al., ISAAC, ISCA 2016",
    "sre": "Yang et al., SRE, ISCA 2019",
    "crmp": "Z. Zhu et al., A Configurable Multi-Precision CNN Computing Framework Based on "
    "Single Bit RRAM (CRMP), DAC 2019",
}
"""Where the numbers of a system are printed."""


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """All rows, in the order of the file."""
    text = (files("hw_models.published") / "rows.csv").read_text(encoding="utf-8")
    return tuple(
        PublishedRow(how=cast("How", entry.pop("how")), **entry)
        for entry in csv.DictReader(text.splitlines())
    )
