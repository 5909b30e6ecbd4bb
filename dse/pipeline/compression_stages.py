"""The stages that make codes: each result is computed once, or found in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Literal, cast

import torch
from torch import Tensor

from dse.bit_flips.bit_flipper import BitFlipper
from dse.bit_flips.inputs import measure_inputs
from dse.bit_flips.patch_planes import planes_of_patches
from dse.datasets.dataset import ImageDataset
from dse.pipeline.accuracy import network_with
from dse.pipeline.adc_steps import choose_steps
from dse.pipeline.adc_tuning import tune
from dse.pipeline.code_digest import object_digest, package_digest
from dse.pipeline.codes import codes_from_tensors, codes_to_tensors
from dse.pipeline.compress import CompressedNetwork
from dse.pipeline.folding import folded_state, folded_task
from dse.pipeline.hardware import chip_of, simulated_knobs
from dse.pipeline.patching import compress_in_rounds
from dse.pipeline.pretrain import pretrain
from dse.pipeline.settings import EvaluationSettings
from dse.pipeline.stage_store import StageResult, StageTrace, open_store
from dse.plugins import load
from dse.tasks.task import Task
from dse.training.hopeless import HopelessRule, needed_accuracies
from hw_models.layer import CodedLayer
from search_spaces.design_point import DesignPoint

CALIBRATION_IMAGES = 64
"""Training images on which inputs are sampled."""

_TRAINING_CODE = (
    "dse.bit_flips",
    "dse.datasets",
    "dse.pipeline",
    "dse.pruning",
    "dse.quantizers",
    "dse.regularizers",
    "dse.tasks",
    "dse.training",
)
STATE, CODES = "state/", "codes/"
"""Prefixes of the tensors of a stage that makes or changes codes."""


class CompressionStages:
    """From a network to be trained to the codes that a design's crossbars hold.

    Args:
        point: The design.
        settings: Of the study.
        task: The study's network.
        data: The study's images, as the task sees them.

    Attributes:
        traces: How each result came about, in the order of computing.
    """

    def __init__(
        self, point: DesignPoint, settings: EvaluationSettings, task: Task, data: ImageDataset
    ) -> None:
        self._point = point
        self._settings = settings
        self._task = task
        self._data = data
        self._store = open_store(settings.store, settings.shared_store)
        self.traces: dict[str, StageTrace] = {}

    def pretrained(self) -> StageResult:
        """The fp32 network."""
        training, task = self._settings.training, self._task
        epochs = training.pretrain_epochs or task.recipe.pretrain_epochs

        def run() -> StageResult:
            network = pretrain(
                task, self._data, epochs=epochs, seed=training.seed, device=self._settings.device
            )
            return StageResult(tensors=network.state, data=network.metrics)

        inputs = {
            "task": task.identity(),
            "data": self._data.digest,
            "epochs": epochs,
            "seed": training.seed,
            "threads": self._settings.threads,
            "device": self._settings.device,
            "code": package_digest(*_TRAINING_CODE),
            "torch": torch.__version__,
        }
        return self._compute("pretrain", inputs, run)

    def _trained_state(self, trained: StageResult) -> Mapping[str, Tensor]:
        if self._settings.training.batch_norm == "digital":
            return trained.tensors
        return folded_state(self._task, self._data, trained.tensors)

    def compressed(self, trained: StageResult) -> StageResult:
        """Integer codes by pruning, quantising and fine-tuning under a penalty."""
        point, settings = self._point, self._settings
        quantizer = load("dse.quantizers", point.quantizer.name)
        regularizer = load("dse.regularizers", point.regularizer.name)
        pruner = load("dse.patches", point.patches.name)

        def run() -> StageResult:
            network = compress_in_rounds(
                self._mapped_task,
                self._data,
                self._trained_state(trained),
                pruner=pruner,
                pruner_knobs=point.patches.knobs,
                layer_knobs=point.patches.layers,
                quantizer=quantizer,
                quantizer_knobs=point.quantizer.knobs,
                regularizer=regularizer,
                regularizer_knobs=point.regularizer.knobs,
                threshold=point.pruning.threshold,
                slice_bits=point.cell.bits,
                input_knobs=point.inputs,
                epochs=settings.epochs,
                seed=settings.training.seed,
                on_epoch=self._hopeless(trained),
                device=settings.device,
            ).network
            return _network_result(network)

        inputs = {
            "pretrain": self.traces["pretrain"].key,
            "quantizer": [object_digest(quantizer), point.knobs_of("quantizer")],
            "regularizer": [object_digest(regularizer), point.knobs_of("regularizer")],
            "patches": [object_digest(pruner), point.knobs_of("patches")],
            "threshold": point.pruning.threshold,
            "inputs": [point.inputs.bits, point.inputs.clip],
            "slice_bits": point.cell.bits,
            "epochs": settings.epochs,
            "fidelity": settings.fidelity,
            "batch_norm": settings.training.batch_norm,
            "seed": settings.training.seed,
        }
        return self._compute("compress", inputs, run)

    def _hopeless(self, trained: StageResult) -> HopelessRule | None:
        """What ends a training that cannot meet the study's constraints, where it shall."""
        settings = self._settings
        needed = needed_accuracies(settings.constraints, of_float=trained.data["val_accuracy"])
        if not settings.stop_hopeless or not needed:
            return None
        tuning = self._point.adc_loop.tune_epochs if settings.tunes(self._point) else 0
        return HopelessRule(needed, epochs=settings.epochs + tuning)

    def final(self, trained: StageResult) -> StageResult:
        """The codes that the crossbars hold, and the steps of their converters."""
        return self.ranged(self.flipped(self.tuned(self.compressed(trained))))

    def tuned(self, compressed: StageResult) -> StageResult:
        """The same fitted to the converters: codes trained with ADCs in the loop."""
        point, settings = self._point, self._settings
        loop = point.adc_loop
        epochs = loop.tune_epochs if settings.tunes(point) else 0
        if epochs == 0:
            return compressed
        quantizer = load("dse.quantizers", point.quantizer.name)
        regularizer = load("dse.regularizers", point.regularizer.name)

        def run() -> StageResult:
            tuned = tune(
                self._mapped_task,
                self._data,
                CompressedNetwork(
                    state=state_of(compressed),
                    layers=codes_of(compressed),
                    nonzero_slice_ratios=tuple(compressed.data["nonzero_slice_ratios"]),
                    metrics=compressed.data["metrics"],
                ),
                chip=chip_of(point),
                quantizer=quantizer,
                quantizer_knobs=point.quantizer.knobs,
                regularizer=regularizer,
                regularizer_knobs=point.regularizer.knobs,
                adc_range=cast("Literal['full', 'calibrated']", loop.range),
                epochs=epochs,
                seed=settings.training.seed,
                learning_rate=loop.learning_rate,
                input_knobs=point.inputs,
                device=settings.device,
            )
            return _network_result(tuned.network, adc_steps=tuned.adc_steps)

        inputs = {
            "compress": self._codes_key,
            "chip": simulated_knobs(point),
            "hw": package_digest("hw_models"),
            "epochs": epochs,
            "seed": settings.training.seed,
        }
        return self._compute("adc_tuning", inputs, run)

    def flipped(self, compressed: StageResult) -> StageResult:
        """The codes after bit flips; what stays digital is as before."""
        point = self._point
        if point.bit_flips.name == "none":
            return compressed
        flipper: BitFlipper = load("dse.bit_flips", point.bit_flips.name)
        knobs = point.bit_flips.knobs
        layers, state = codes_of(compressed), state_of(compressed)

        def run() -> StageResult:
            moments = None
            if flipper.uses_inputs(knobs):
                network = network_with(self._mapped_task, state)
                by_name = {layer.shape.name: layer for layer in layers}
                moments = measure_inputs(network, by_name, self._calibration_images())
            planes = {layer.shape.name: planes_of_patches(layer) for layer in layers}
            flipped = flipper.flip(
                layers,
                knobs,
                wordlines=point.crossbar.wordlines,
                mean_inputs=moments,
                allowed_planes={name: mask for name, mask in planes.items() if mask is not None},
                layer_knobs=point.bit_flips.layers,
            )
            return StageResult(
                tensors={**_prefixed(STATE, state), **_coded(flipped)}, data=compressed.data
            )

        inputs = {
            "compress": self._codes_key,
            "bit_flips": [object_digest(flipper), point.knobs_of("bit_flips")],
            "wordlines": point.crossbar.wordlines,
        }
        return self._compute("bit_flips", inputs, run)

    def ranged(self, coded: StageResult) -> StageResult:
        """The same codes with the converters' steps chosen for them, where they may be.

        What it keeps in the store are steps alone: one network has many ADC settings.
        """
        point, steps = self._point, steps_of(coded)
        if point.adc_loop.range == "full" or (steps and point.bit_flips.name == "none"):
            return coded

        def run() -> StageResult:
            found = choose_steps(
                self._mapped_task,
                self._data,
                state_of(coded),
                codes_of(coded),
                chip_of(point),
                seed=self._settings.training.seed,
                also=(steps,) if steps else (),
                device=self._settings.device,
            )
            return StageResult(
                data={"adc_steps": {name: list(each) for name, each in found.items()}}
            )

        inputs = {
            "codes": self._codes_key,
            "chip": simulated_knobs(point),
            "hw": package_digest("hw_models"),
            "seed": self._settings.training.seed,
        }
        chosen = self._compute("adc_range", inputs, run)
        return StageResult(tensors=coded.tensors, data={**coded.data, **chosen.data})

    @cached_property
    def _mapped_task(self) -> Task:
        """The task whose network is on the crossbars: without batch norms that are folded."""
        if self._settings.training.batch_norm == "digital":
            return self._task
        return folded_task(self._task, self._data)

    @property
    def _codes_key(self) -> str:
        """Key of the stage that made the codes which hardware sees."""
        made = [stage for stage in ("compress", "adc_tuning", "bit_flips") if stage in self.traces]
        return self.traces[made[-1]].key

    def _calibration_images(self) -> Tensor:
        fit_index, _ = self._data.fit_and_validation()
        return self._data.normalised(self._data.train_images[fit_index[:CALIBRATION_IMAGES]])

    def _compute(
        self, stage: str, inputs: Mapping[str, Any], run: Callable[[], StageResult]
    ) -> StageResult:
        result, self.traces[stage] = self._store.compute(stage, inputs, run)
        return result


def codes_of(result: StageResult) -> tuple[CodedLayer, ...]:
    """The codes of a stage that makes or changes them."""
    return codes_from_tensors(below(result.tensors, CODES))


def state_of(result: StageResult) -> dict[str, Tensor]:
    """What stays digital, and the real weights, of a stage that makes or changes codes."""
    return below(result.tensors, STATE)


def steps_of(result: StageResult) -> dict[str, tuple[int, ...]]:
    """log2 of the converters' steps by layer and slice group; empty at full range."""
    steps = result.data.get("adc_steps") or {}
    return {name: tuple(each) for name, each in steps.items()}


def _network_result(
    network: CompressedNetwork, *, adc_steps: Mapping[str, tuple[int, ...]] | None = None
) -> StageResult:
    return StageResult(
        tensors={**_prefixed(STATE, network.state), **_coded(network.layers)},
        data={
            "metrics": dict(network.metrics),
            "nonzero_slice_ratios": list(network.nonzero_slice_ratios),
            "adc_steps": {name: list(steps) for name, steps in (adc_steps or {}).items()},
        },
    )


def _coded(layers: tuple[CodedLayer, ...]) -> dict[str, Tensor]:
    return _prefixed(CODES, codes_to_tensors(layers))


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in tensors.items()}


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
