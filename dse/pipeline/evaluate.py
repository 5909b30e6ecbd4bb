"""Evaluator: a design point in, its accuracy and costs out; one line per stage."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from dse.datasets.dataset import ImageDataset
from dse.errors import DseError
from dse.evaluation import Evaluation, Failure, Outcome
from dse.pipeline.accuracy import float_accuracy, simulated_accuracy
from dse.pipeline.code_digest import object_digest, package_digest
from dse.pipeline.compress import compress
from dse.pipeline.lower import coded_from_tensors, coded_to_tensors
from dse.pipeline.pretrain import pretrain
from dse.pipeline.stage_store import StageResult, StageStore, StageTrace, stage_key
from dse.pipeline.tracing import trace_task
from dse.plugins import load, search_here
from dse.spec import TaskSpec, TrainingSpec
from dse.tasks.load import load_task
from dse.tasks.task import Task
from hw_models.chip import Chip
from hw_models.errors import HardwareError
from hw_models.estimation.estimate import Estimate, estimate
from hw_models.layer import CodedLayer
from search_spaces.build import build_chip
from search_spaces.design_point import DesignPoint

_TRAINING_CODE = (
    "dse.datasets",
    "dse.pipeline",
    "dse.pruning",
    "dse.quantizers",
    "dse.regularizers",
    "dse.tasks",
    "dse.training",
)
_STATE, _CODES = "state/", "codes/"

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationSettings:
    """What every evaluation of a study has in common.

    Attributes:
        task: Network and data.
        epochs: Epochs of fine-tuning.
        training: Seed and pre-training.
        threads: Torch threads; results may differ in the last bit between numbers of threads.
        store: Folder of the stage store.
        folders: Where `module:attribute` names are searched besides the installed packages.
    """

    task: TaskSpec
    epochs: int
    training: TrainingSpec
    threads: int
    store: Path
    folders: tuple[str, ...] = ()


class Evaluator:
    """Evaluates designs of one study; keeps the data in memory between them."""

    def __init__(self, settings: EvaluationSettings) -> None:
        self._settings = settings
        self._store = StageStore(settings.store)
        torch.set_num_threads(settings.threads)
        search_here(Path(folder) for folder in settings.folders)

    @cached_property
    def task(self) -> Task:
        """The study's network."""
        return load_task(self._settings.task)

    @cached_property
    def data(self) -> ImageDataset:
        """The study's images."""
        spec = self._settings.task
        folder = Path(spec.data_folder) if spec.data_folder else None
        whole: ImageDataset = load("dse.datasets", self.task.dataset).load(folder)
        return whole.subset(train=spec.train_images, test=spec.test_images)

    def check(self) -> None:
        """Load the data and the network once, so that bad input shows before a study starts.

        Raises:
            DseError: The data are missing, or the network cannot be mapped.
        """
        task = self.task
        trace_task(task, self.data)
        task.identity()

    def outcome(self, point: DesignPoint) -> Outcome:
        """Evaluate, and turn whatever goes wrong into a `Failure` with its reason."""
        try:
            return self.evaluate(point)
        except (DseError, HardwareError) as error:
            return Failure(reason=f"{type(error).__name__}: {error}")
        except Exception as error:
            _logger.exception("a design could not be evaluated: %s", point.to_json())
            return Failure(reason=f"{type(error).__name__}: {error}")

    def evaluate(self, point: DesignPoint) -> Evaluation:
        """Pre-train, compress, estimate from the codes, simulate with the ADCs in the loop."""
        began = time.perf_counter()
        traces: dict[str, StageTrace] = {}
        trained = self._pretrain(traces)
        compressed = self._compress(point, trained, traces)
        layers = _codes(compressed)
        chip = build_chip(
            point,
            engine=load("hw_models.engines", point.engine),
            adc=load("hw_models.converters", point.adc.model),
        )
        costs = self._estimate(point, layers, chip, traces)
        accuracies = self._accuracies(point, trained, compressed, layers, chip, traces)
        seconds = time.perf_counter() - began
        eight_bits = replace(chip, adc_bits=(8,) * len(chip.adc_bits))
        return Evaluation(
            metrics={
                **accuracies,
                "accuracy_loss": accuracies["accuracy_float"] - accuracies["accuracy"],
                "energy_j": costs.energy_j,
                "adc_energy_j": costs.adc_energy_j,
                "adc_energy_vs_8bit": costs.adc_energy_j
                / estimate(layers, eight_bits).adc_energy_j,
                "latency_s": costs.latency_s,
                "area_m2": costs.area_m2,
                "crossbars": float(costs.crossbars),
                "adc_conversions": float(costs.adc_conversions),
                "nonzero_slice_ratio": compressed.data["mean_slice_ratio"],
            },
            stages={stage: trace.to_json() for stage, trace in traces.items()},
            report={
                **costs.to_json(),
                "nonzero_slice_ratios": compressed.data["nonzero_slice_ratios"],
                "val_accuracy": compressed.data["val_accuracy"],
            },
            seconds=seconds,
        )

    def codes(self, point: DesignPoint) -> tuple[tuple[CodedLayer, ...], bool]:
        """The compressed network of a design, and whether it was found in the store."""
        traces: dict[str, StageTrace] = {}
        compressed = self._compress(point, self._pretrain(traces), traces)
        return _codes(compressed), traces["compress"].cached

    def _pretrain(self, traces: dict[str, StageTrace]) -> StageResult:
        training, task = self._settings.training, self.task
        epochs = training.pretrain_epochs or task.recipe.pretrain_epochs

        def run() -> StageResult:
            network = pretrain(task, self.data, epochs=epochs, seed=training.seed)
            return StageResult(tensors=network.state, data=network.metrics)

        inputs = {
            "task": task.identity(),
            "data": self.data.digest,
            "epochs": epochs,
            "seed": training.seed,
            "threads": self._settings.threads,
            "code": package_digest(*_TRAINING_CODE),
            "torch": torch.__version__,
        }
        result, traces["pretrain"] = self._store.compute("pretrain", inputs, run)
        return result

    def _compress(
        self, point: DesignPoint, trained: StageResult, traces: dict[str, StageTrace]
    ) -> StageResult:
        quantizer = load("dse.quantizers", point.quantizer.name)
        regularizer = load("dse.regularizers", point.regularizer.name)
        epochs, seed = self._settings.epochs, self._settings.training.seed

        def run() -> StageResult:
            network = compress(
                self.task,
                self.data,
                trained.tensors,
                quantizer=quantizer,
                quantizer_knobs=point.quantizer.knobs,
                regularizer=regularizer,
                regularizer_knobs=point.regularizer.knobs,
                threshold=point.pruning.threshold,
                slice_bits=point.cell.bits,
                epochs=epochs,
                seed=seed,
            )
            codes = coded_to_tensors(network.layers)
            return StageResult(
                tensors={
                    **{_STATE + name: tensor for name, tensor in network.state.items()},
                    **{_CODES + name: tensor for name, tensor in codes.items()},
                },
                data={
                    **network.metrics,
                    "nonzero_slice_ratios": list(network.nonzero_slice_ratios),
                },
            )

        inputs = {
            "pretrain": traces["pretrain"].key,
            "quantizer": [object_digest(quantizer), point.knobs_of("quantizer")],
            "regularizer": [object_digest(regularizer), point.knobs_of("regularizer")],
            "threshold": point.pruning.threshold,
            "slice_bits": point.cell.bits,
            "epochs": epochs,
            "seed": seed,
        }
        result, traces["compress"] = self._store.compute("compress", inputs, run)
        return result

    def _estimate(
        self,
        point: DesignPoint,
        layers: tuple[CodedLayer, ...],
        chip: Chip,
        traces: dict[str, StageTrace],
    ) -> Estimate:
        """Takes milliseconds and is not kept."""
        began = time.perf_counter()
        costs = estimate(layers, chip)
        inputs = {
            "compress": traces["compress"].key,
            "chip": _hardware(point),
            "code": package_digest("hw_models"),
        }
        traces["estimate"] = StageTrace(
            key=stage_key("estimate", inputs), cached=False, seconds=time.perf_counter() - began
        )
        return costs

    def _accuracies(
        self,
        point: DesignPoint,
        trained: StageResult,
        compressed: StageResult,
        layers: tuple[CodedLayer, ...],
        chip: Chip,
        traces: dict[str, StageTrace],
    ) -> dict[str, float]:
        code = package_digest("hw_models", "dse.training", "dse.pipeline")
        state = _below(compressed.tensors, _STATE)

        def on_float() -> StageResult:
            return _fraction(float_accuracy(self.task, self.data, trained.tensors))

        def on_codes(chip: Chip | None) -> StageResult:
            return _fraction(simulated_accuracy(self.task, self.data, state, layers, chip=chip))

        stages: dict[str, tuple[dict[str, Any], Callable[[], StageResult]]] = {
            "accuracy_float": ({"pretrain": traces["pretrain"].key}, on_float),
            "accuracy_ideal": ({"compress": traces["compress"].key}, lambda: on_codes(None)),
            "accuracy": (
                {"compress": traces["compress"].key, "chip": _simulated(point)},
                lambda: on_codes(chip),
            ),
        }
        accuracies: dict[str, float] = {}
        for stage, (inputs, run) in stages.items():
            result, traces[stage] = self._store.compute(stage, {**inputs, "code": code}, run)
            accuracies[stage] = result.data["accuracy"]
        return accuracies


def _below(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }


def _codes(compressed: StageResult) -> tuple[CodedLayer, ...]:
    return coded_from_tensors(_below(compressed.tensors, _CODES))


def _fraction(accuracy: float) -> StageResult:
    return StageResult(data={"accuracy": accuracy})


def _hardware(point: DesignPoint) -> dict[str, Any]:
    hardware = ("engine", "crossbar.", "cell.", "adc.")
    return {path: v for path, v in point.to_json().items() if path.startswith(hardware)}


def _simulated(point: DesignPoint) -> dict[str, Any]:
    """The part of the hardware that a sum on a bitline and its conversion see."""
    return {
        path: value
        for path, value in _hardware(point).items()
        if path not in ("adc.model", "crossbar.bitlines")
    }
