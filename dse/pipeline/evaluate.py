"""Evaluator: a design point in, its accuracy and costs out; one line per stage."""

from __future__ import annotations

import gc
import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from dse.datasets.dataset import ImageDataset
from dse.errors import DseError, SpecError
from dse.evaluation import Evaluation, Failure, Outcome, RuledOut
from dse.pipeline.code_digest import package_digest
from dse.pipeline.compression_stages import codes_of, steps_of
from dse.pipeline.hardware import (
    COST_METRICS,
    chip_of,
    counts_inputs,
    empty_layer,
    priced_knobs,
)
from dse.pipeline.nested import nested_designs
from dse.pipeline.settings import EvaluationSettings
from dse.pipeline.stage_store import StageResult, StageTrace, stage_key
from dse.pipeline.stages import Stages
from dse.pipeline.tracing import trace_task
from dse.plugins import load, search_here
from dse.quantizers.slices import nonzero_slice_ratios
from dse.spec_sections import Fidelity
from dse.tasks.load import load_task
from dse.tasks.task import Task
from dse.training.hopeless import HopelessError
from hw_models.engines.observed import Observed
from hw_models.errors import HardwareError
from hw_models.estimation.estimate import Estimate, estimate, estimate_designs
from hw_models.estimation.schedule import Schedule, schedule_for
from hw_models.layer import CodedLayer, LayerShape
from search_spaces.design_point import DesignPoint

_logger = logging.getLogger(__name__)


class Evaluator:
    """Evaluates designs of one study; keeps the data in memory between them."""

    def __init__(self, settings: EvaluationSettings) -> None:
        self._settings = settings
        torch.set_num_threads(settings.threads)
        search_here(Path(folder) for folder in settings.folders)

    @cached_property
    def task(self) -> Task:
        """The study's network."""
        task = load_task(self._settings.task)
        images = self._settings.training.images_per_epoch
        return replace(task, recipe=replace(task.recipe, images_per_epoch=images))

    @cached_property
    def data(self) -> ImageDataset:
        """The study's images."""
        spec = self._settings.task
        folder = Path(spec.data_folder) if spec.data_folder else None
        whole: ImageDataset = load("dse.datasets", self.task.dataset).load(folder)
        return self.task.seen(whole.subset(train=spec.train_images, test=spec.test_images))

    def check(self, layers: Iterable[str] = ()) -> None:
        """Load the data and the network once, so that bad input shows before a study starts.

        Args:
            layers: Layers that the study gives knobs of their own.

        Raises:
            DseError: The data are missing, the network cannot be mapped, or has no such layer.
        """
        task = self.task
        there = [shape.name for shape in self._shapes]
        unknown = [layer for layer in layers if layer not in there]
        if unknown:
            raise SpecError(
                f"knobs of single layers name layers of {task.name}, got {', '.join(unknown)}; "
                f"its layers: {', '.join(there)}"
            )
        task.identity()

    def outcome(
        self, point: DesignPoint, *, fidelity: Fidelity | None = None, sweep: bool = False
    ) -> Outcome:
        """Evaluate, and turn whatever goes wrong into a `Failure` with its reason."""
        began = time.perf_counter()
        try:
            if broken := self._broken(self._least_metrics(point)):
                missed = ", ".join(f"{name} by {by:.4g}" for name, by in broken.items())
                return RuledOut(
                    reason=f"before training, even an empty network misses {missed}",
                    violations=broken,
                    trained=False,
                    seconds=time.perf_counter() - began,
                )
            return self._evaluate(point, fidelity=fidelity, sweep=sweep)
        except HopelessError as error:
            return RuledOut(
                reason=str(error),
                violations=error.violations,
                trained=True,
                seconds=time.perf_counter() - began,
            )
        except (DseError, HardwareError) as error:
            return Failure(reason=f"{type(error).__name__}: {error}")
        except Exception as error:
            if not _is_out_of_memory(error):
                _logger.exception("a design could not be evaluated: %s", point.to_json())
                return Failure(reason=f"{type(error).__name__}: {error}")
            reason = str(error).splitlines()[0] if str(error) else "there is no more"
        # Not in the handler, which still holds the frames that hold the memory.
        _free_memory()
        return Failure(reason=f"out of memory: {reason}", lost=True)

    def evaluate(
        self, point: DesignPoint, *, fidelity: Fidelity | None = None, sweep: bool = False
    ) -> Evaluation:
        """Pre-train, compress, estimate from the codes, simulate with the ADCs in the loop.

        Args:
            point: The design.
            fidelity: How thoroughly; the study's own when left out.
            sweep: Whether to look at every hardware choice for its network, too.

        Raises:
            HardwareError: The knobs contradict each other.
            HopelessError: Fine-tuning cannot meet a constraint any more, and is to end then.
            DseError: It cannot be evaluated.
        """
        self._least_metrics(point)
        return self._evaluate(point, fidelity=fidelity, sweep=sweep)

    def _evaluate(
        self, point: DesignPoint, *, fidelity: Fidelity | None, sweep: bool = False
    ) -> Evaluation:
        """The same for hardware that is known to be possible."""
        began = time.perf_counter()
        settings = self._settings.at(fidelity)
        stages = Stages(point, settings, self.task, self.data)
        trained = stages.pretrained()
        compressed = stages.compressed(trained)
        tuned = stages.tuned(compressed)
        final = stages.ranged(stages.flipped(tuned))
        metrics, costs = self._rated(stages, point, trained, final)
        nested: tuple[tuple[DesignPoint, Evaluation], ...] = ()
        if sweep:
            nested = self._nested(point, stages, final, known=metrics, fidelity=fidelity)
        return Evaluation(
            metrics=metrics,
            stages={stage: trace.to_json() for stage, trace in stages.traces.items()},
            report={
                **costs,
                "nonzero_slice_ratios_with_biases": tuned.data["nonzero_slice_ratios"],
                "val_accuracy": tuned.data["metrics"]["val_accuracy"],
                "adc_steps": {name: list(each) for name, each in steps_of(final).items()},
                **_compression_ratios(compressed.data["metrics"]),
            },
            seconds=time.perf_counter() - began,
            nested=nested,
        )

    def score(
        self, point: DesignPoint, *, trained: StageResult, final: StageResult
    ) -> tuple[dict[str, float], dict[str, object]]:
        """What the codes of a design are worth, whoever made them.

        Args:
            point: The design.
            trained: The fp32 network.
            final: Codes, what stays digital, and steps, as `Stages.final` gives them.

        Returns:
            Metrics; costs by layer and component, and shares of non-zero slices.
        """
        stages = Stages(point, self._settings, self.task, self.data)
        stages.trust(pretrain=trained, compress=final)
        return self._rated(stages, point, trained, final)

    def exported(self, point: DesignPoint) -> tuple[StageResult, StageResult]:
        """The fp32 network and the final codes of a design, found in the store or made again."""
        stages = Stages(point, self._settings, self.task, self.data)
        trained = stages.pretrained()
        return trained, stages.final(trained)

    def _rated(
        self, stages: Stages, point: DesignPoint, trained: StageResult, final: StageResult
    ) -> tuple[dict[str, float], dict[str, object]]:
        layers = codes_of(final)
        costs, report = self._costs(point, layers, self._observed(stages, final), stages.traces)
        accuracies = stages.accuracies(trained, final)
        ratios = _nonzero_ratios(layers, point.cell.bits)
        metrics = {
            **accuracies,
            "accuracy_loss": accuracies["accuracy_float"] - accuracies["accuracy"],
            **costs,
            "nonzero_slice_ratio": sum(ratios) / len(ratios),
        }
        return metrics, {**report, "nonzero_slice_ratios": list(ratios)}

    def _observed(self, stages: Stages, final: StageResult) -> tuple[Observed, ...] | None:
        """Sampled inputs, for engines that count them."""
        return stages.observed(final) if stages.counts_inputs else None

    def _nested(
        self,
        point: DesignPoint,
        stages: Stages,
        final: StageResult,
        *,
        known: Mapping[str, float],
        fidelity: Fidelity | None,
    ) -> tuple[tuple[DesignPoint, Evaluation], ...]:
        """The best other designs of the same network, evaluated like any."""
        settings = self._settings.at(fidelity)

        def accuracy_of(design: DesignPoint) -> float:
            its = Stages(design, settings, self.task, self.data)
            trained = its.pretrained()
            return its.accuracies(trained, its.final(trained))["accuracy"]

        found = nested_designs(
            point,
            layers=codes_of(final),
            observed=self._observed(stages, final),
            tuned=settings.tunes(point),
            swept=settings.swept,
            objectives=settings.objectives,
            constraints=settings.constraints,
            known={name: known[name] for name in _OF_THE_NETWORK},
            accuracy_of=accuracy_of,
            simulations=settings.simulations,
        )
        own = point.digest()
        return tuple(
            (design, self._evaluate(design, fidelity=fidelity))
            for design in found
            if design.digest() != own
        )

    def network(
        self, point: DesignPoint
    ) -> tuple[tuple[CodedLayer, ...], tuple[Observed, ...] | None, bool]:
        """The compressed network of a design.

        Returns:
            Its codes, its sampled inputs where the design's engine counts them, and whether the
            codes were found in the store.
        """
        stages = Stages(point, self._settings, self.task, self.data)
        final = stages.final(stages.pretrained())
        cached = all(trace.cached for trace in stages.traces.values())
        return codes_of(final), self._observed(stages, final), cached

    def _broken(self, least: Mapping[str, float]) -> dict[str, float]:
        """Constraints on costs that no network of this shape can meet, with their violations.

        Weights only add to the costs: an engine may skip zeros, none charges for them.

        Args:
            least: Costs without weights.
        """
        bounds = {
            str(constraint): constraint.violation(least)
            for constraint in self._settings.constraints
            if constraint.at_most and constraint.metric.si in least
        }
        return {name: violation for name, violation in bounds.items() if violation > 0}

    def _least_metrics(self, point: DesignPoint) -> dict[str, float]:
        """Costs of the layers without weights; hardware that cannot be shows here.

        Raises:
            HardwareError: The knobs contradict each other.
        """
        chip = chip_of(point)
        layers = tuple(
            empty_layer(shape, weight_bits=point.quantizer.knobs.code_bits)
            for shape in self._shapes
        )
        nothing = tuple(
            Observed(input_codes=np.zeros((each.groups, 1, each.wordlines), dtype=np.uint8))
            for each in self._shapes
        )
        observed = nothing if counts_inputs(chip.engine) else None
        schedule = _schedule(point, layers, observed)
        return cost_metrics(estimate(layers, chip, observed=observed, schedule=schedule))

    @cached_property
    def _shapes(self) -> tuple[LayerShape, ...]:
        return tuple(layer.shape for layer in trace_task(self.task, self.data))

    def _costs(
        self,
        point: DesignPoint,
        layers: tuple[CodedLayer, ...],
        observed: tuple[Observed, ...] | None,
        traces: dict[str, StageTrace],
    ) -> tuple[dict[str, float], dict[str, object]]:
        """Metrics and report of the hardware; takes milliseconds and is not kept."""
        began = time.perf_counter()
        chip = chip_of(point)
        schedule = _schedule(point, layers, observed)
        costs = estimate(layers, chip, observed=observed, schedule=schedule)
        eight_bits = [[8] * len(chip.adc_bits)]
        reference = estimate_designs(layers, chip, eight_bits, observed=observed)
        inputs = {
            "codes": [trace.key for trace in traces.values()],
            "chip": priced_knobs(point),
            "code": package_digest("hw_models"),
        }
        traces["estimate"] = StageTrace(
            key=stage_key("estimate", inputs), cached=False, seconds=time.perf_counter() - began
        )
        metrics = cost_metrics(costs)
        metrics["adc_energy_vs_8bit"] = costs.adc_energy_j / float(reference.adc_energy_j[0])
        return metrics, costs.to_json()


def _is_out_of_memory(error: BaseException) -> bool:
    """Whether an error of ours or of torch says that memory has run out, of CPU or GPU."""
    text = str(error)
    return (
        isinstance(error, MemoryError | torch.OutOfMemoryError)
        or "can't allocate memory" in text
        or "CUDA out of memory" in text
    )


def _free_memory() -> None:
    """Give back what a design has left behind, on the GPU, too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


_OF_THE_NETWORK = ("accuracy_float", "accuracy_ideal", "nonzero_slice_ratio")
"""Metrics that do not depend on the hardware."""


def cost_metrics(costs: Estimate) -> dict[str, float]:
    """The metrics of an estimate."""
    return {name: float(getattr(costs, name)) for name in COST_METRICS}


def _compression_ratios(metrics: Mapping[str, float]) -> dict[str, float]:
    """Of patch-wise pruning, where there was some."""
    return {
        name: metrics[name] for name in ("cr32", "cr32i", "cr32_apib", "cr8") if name in metrics
    }


def _schedule(
    point: DesignPoint, layers: tuple[CodedLayer, ...], observed: tuple[Observed, ...] | None
) -> Schedule:
    return schedule_for(
        layers,
        chip_of(point),
        pipelined=point.schedule.pipelined,
        crossbars=point.schedule.crossbars,
        observed=observed,
    )


def _nonzero_ratios(layers: tuple[CodedLayer, ...], cell_bits: int) -> tuple[float, ...]:
    """Share of weights with a non-zero cell per slice, the most significant slice first."""
    return nonzero_slice_ratios(
        [torch.from_numpy(layer.magnitudes) for layer in layers],
        bits=max(layer.weight_bits for layer in layers),
        slice_bits=cell_bits,
    )
