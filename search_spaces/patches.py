"""Knobs of patch-wise pruning and quantisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from search_spaces.domains import Choice, FloatRange, IntRange


@dataclass(frozen=True, slots=True, kw_only=True)
class NoPatchKnobs:
    """Nothing to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchKnobs:
    """PQ-PIM's thresholds ([PQPIM]); the defaults are those of its Figure 2.

    `tsv`, `t_prune`, `t_quant` and `t_act` may differ from layer to layer.

    Attributes:
        patch: Weights of a patch, n, in the whole network.
        tsv: Largest small magnitude (TSV), in standard deviations of the pre-trained layer.
        t_prune: Share of small weights from which a patch is removed.
        t_quant: Share of small weights above which a kept patch has 4 bits; `t_prune` where that
            is smaller.
        weak_inputs: Whether patches of inputs are rounded to 4 bits at run time.
        t_act: Share of small input codes from which they are.
        rounds: Times that patches are removed and the rest is trained on, with a growing TSV.
        first_factor: Factor of the TSV of a first convolution.
        prune_first: Whether patches of a first convolution may be removed; else they have 4 bits.

    [PQPIM] "PQ-PIM: a pruning-quantization joint optimization framework for ReRAM-based
        processing-in-memory DNN accelerator".
    """

    patch: Annotated[int, Choice(4, 8, 16, 32)] = 8
    tsv: Annotated[float, FloatRange(0.1, 3.0)] = 1.5
    t_prune: Annotated[float, FloatRange(0.5, 1.0)] = 0.75
    t_quant: Annotated[float, FloatRange(0.0, 1.0)] = 0.25
    weak_inputs: Annotated[bool, Choice(False, True)] = False
    t_act: Annotated[float, FloatRange(0.5, 1.0)] = 0.75
    rounds: Annotated[int, IntRange(1, 3)] = 2
    first_factor: Annotated[float, FloatRange(0.1, 1.0)] = 0.6
    prune_first: Annotated[bool, Choice(False, True)] = False
