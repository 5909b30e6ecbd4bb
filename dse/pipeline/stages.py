"""Stages: everything that an evaluation computes once, or finds in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from dse.pipeline.accuracy import float_accuracy, network_with, simulated_accuracy
from dse.pipeline.code_digest import package_digest
from dse.pipeline.compression_stages import CompressionStages, codes_of, state_of, steps_of
from dse.pipeline.hardware import chip_of, counts_inputs, nonidealities_of, simulated_knobs
from dse.pipeline.observing import observe
from dse.pipeline.stage_store import StageResult, StageTrace, content_digest
from hw_models.engines.observed import Observed
from hw_models.layer import CodedLayer

OBSERVED_POSITIONS = 512
"""Sampled inputs of a layer, for engines that count them."""


class Stages(CompressionStages):
    """The stages of one design: its codes, what they see, and what they are worth."""

    @property
    def counts_inputs(self) -> bool:
        """Whether the costs of the design depend on what its network sees."""
        return counts_inputs(chip_of(self._point).engine)

    def trust(self, **given: StageResult) -> None:
        """Take results of stages from elsewhere; their keys are digests of what they hold."""
        for stage, result in given.items():
            self.traces[stage] = StageTrace(key=content_digest(result), cached=True, seconds=0.0)

    def observed(self, final: StageResult) -> tuple[Observed, ...]:
        """Inputs of every layer at sampled positions, for engines that count them."""
        layers, state = codes_of(final), state_of(final)
        seed = self._settings.training.seed

        def run() -> StageResult:
            seen = observe(
                network_with(self._mapped_task, state),
                layers,
                self._calibration_images(),
                positions=OBSERVED_POSITIONS,
                seed=seed,
            )
            return StageResult(
                tensors={
                    f"{number:04d}": torch.from_numpy(each.input_codes)
                    for number, each in enumerate(seen)
                }
            )

        inputs = {"codes": self._codes_key, "seed": seed, "hw": package_digest("hw_models")}
        found = self._compute("observe", inputs, run)
        return tuple(
            Observed(input_codes=found.tensors[name].numpy()) for name in sorted(found.tensors)
        )

    def accuracies(self, trained: StageResult, final: StageResult) -> dict[str, float]:
        """On the test set: before compression, with unlimited ADCs, and with the design's."""
        code = package_digest("hw_models", "dse.training", "dse.pipeline")
        device = self._settings.device
        layers, state = codes_of(final), state_of(final)

        def on_float() -> StageResult:
            return _fraction(
                float_accuracy(self._task, self._data, trained.tensors, device=device)
            )

        def on_ideal() -> StageResult:
            return _fraction(
                simulated_accuracy(self._task, self._data, state, layers, chip=None, device=device)
            )

        seed = self._settings.training.seed
        on_chip = {"compress": self._codes_key, "chip": simulated_knobs(self._point), "seed": seed}
        if "adc_range" in self.traces:
            on_chip["adc_range"] = self.traces["adc_range"].key
        stages: dict[str, tuple[dict[str, Any], Callable[[], StageResult]]] = {
            "accuracy_float": ({"pretrain": self.traces["pretrain"].key}, on_float),
            "accuracy_ideal": ({"compress": self._codes_key}, on_ideal),
            "accuracy": (on_chip, lambda: self._on_chip(state, layers, steps_of(final))),
        }
        found: dict[str, float] = {}
        for stage, (inputs, run) in stages.items():
            given = {**inputs, "code": code, "device": device}
            found[stage] = self._compute(stage, given, run).data["accuracy"]
        return found

    def _on_chip(
        self,
        state: Mapping[str, Tensor],
        layers: tuple[CodedLayer, ...],
        steps: Mapping[str, tuple[int, ...]],
    ) -> StageResult:
        point = self._point
        return _fraction(
            simulated_accuracy(
                self._mapped_task,
                self._data,
                state,
                layers,
                chip=chip_of(point),
                adc_steps=steps,
                effects=nonidealities_of(point),
                seed=self._settings.training.seed,
                device=self._settings.device,
            )
        )


def _fraction(accuracy: float) -> StageResult:
    return StageResult(data={"accuracy": accuracy})
