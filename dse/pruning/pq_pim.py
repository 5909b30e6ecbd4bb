"""PQ-PIM's patch-wise pruning and quantisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dse.layer_knobs import check_layer_knobs
from dse.pruning.patches import PatchPlan, plan_layer
from search_spaces.patches import PatchKnobs

LAYER_KNOBS = ("tsv", "t_prune", "t_quant", "t_act")
"""Knobs that a layer may have of its own; the patch size is one for the network."""


class PqPim:
    """Patches of mostly small weights go, mixed ones get 4 bits ([PQPIM], section 4.1).

    The paper speaks of one TSV for each layer; here it is `tsv` standard deviations of the
    pre-trained layer, and of a first convolution `first_factor` times that. Measuring them once
    lets a threshold mean the same in every round.

    [PQPIM] "PQ-PIM: a pruning-quantization joint optimization framework for ReRAM-based
        processing-in-memory DNN accelerator".
    """

    knobs: type[PatchKnobs] = PatchKnobs
    layer_knobs: tuple[str, ...] = LAYER_KNOBS

    def rounds(self, knobs: PatchKnobs) -> int:
        """Rounds of pruning and training."""
        return knobs.rounds

    def plans(
        self,
        weights: Mapping[str, Tensor],
        knobs: PatchKnobs,
        *,
        deviations: Mapping[str, float],
        layers: Mapping[str, Mapping[str, Any]],
        progress: float,
    ) -> dict[str, PatchPlan]:
        """A plan for every layer; `progress` scales the TSV."""
        check_layer_knobs("patches", layers, layers=tuple(weights), knobs=LAYER_KNOBS)
        plans: dict[str, PatchPlan] = {}
        for number, (name, weight) in enumerate(weights.items()):
            chosen = {knob: getattr(knobs, knob) for knob in LAYER_KNOBS} | dict(
                layers.get(name, {})
            )
            first = number == 0 and weight.ndim == 4
            factor = knobs.first_factor if first else 1.0
            plans[name] = plan_layer(
                name,
                weight,
                size=knobs.patch,
                small=progress * factor * chosen["tsv"] * deviations[name],
                t_prune=chosen["t_prune"],
                t_quant=chosen["t_quant"],
                removable=knobs.prune_first or not first,
                weak_input_share=chosen["t_act"] if knobs.weak_inputs else None,
            )
        return plans


PQ_PIM = PqPim()
