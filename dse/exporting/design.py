"""A design in files of its own: enough to rebuild it, and to score it again without its study."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from pydantic import ValidationError
from safetensors.torch import save_file
from torch import Tensor

from dse.catalogue import design_space
from dse.database import Database
from dse.errors import SpecError, StudyError
from dse.pipeline.compression_stages import CODES, STATE, below, steps_of
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.hardware import chip_of
from dse.pipeline.settings import EvaluationSettings
from dse.pipeline.stage_store import StageResult
from dse.reporting.design import explain_json
from dse.resuming import load_optuna
from dse.spec import StudySpec
from dse.spec_sections import Section, TaskSpec, TrainingSpec
from dse.sweeping import trial_evaluator, trial_point
from dse.tasks.task import read_checkpoint
from dse.trials import METRICS, RUNG_RESULT
from search_spaces.design_point import DesignPoint
from search_spaces.domains import Domain, Value
from search_spaces.draw import draw_design

DESIGN, MAPPING = "design.yaml", "mapping.json"
CODES_FILE, WEIGHTS_FILE, FP32_FILE = (
    "codes.safetensors",
    "weights.safetensors",
    "fp32.safetensors",
)
FORMAT = 1


class DesignFile(Section):
    """What `design.yaml` holds.

    Attributes:
        format: Version of the layout.
        study: Where the design was found.
        trial: Its number there.
        task: Network and data; not where the data lie.
        training: How it was trained; the seed also draws non-idealities.
        threads: Of torch, when it was evaluated.
        images: Digest of the images.
        knobs: Every knob of the design, by path.
        adc_steps: log2 of the converters' steps by layer, the most significant group first.
        metrics: What the study says, in SI units.
        versions: Of the packages that wrote it.
    """

    format: int
    study: str
    trial: int
    task: TaskSpec
    training: TrainingSpec
    threads: int
    images: str
    knobs: dict[str, Any]
    adc_steps: dict[str, list[int]]
    metrics: dict[str, float]
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """An export, evaluated again.

    Attributes:
        design: What was exported.
        metrics: What it is worth now, in SI units.
    """

    design: DesignFile
    metrics: Mapping[str, float]

    @property
    def differing(self) -> tuple[str, ...]:
        """Metrics that are not exactly what was exported."""
        return tuple(
            name for name, value in self.design.metrics.items() if self.metrics.get(name) != value
        )


def export_design(
    spec: StudySpec, database: Database, number: int, folder: Path
) -> tuple[Path, ...]:
    """Write the design of a trial into a folder.

    Codes and weights come from the stage store; what is missing there is trained again, with the
    same result on the same machine.

    Raises:
        StudyError: There is no such trial, it has no results, or its network cannot be had again.
        SpecError: The folder cannot be written.
    """
    study = load_optuna(database, spec.name)
    explained = explain_json(study, database, spec, number)
    trial = study.get_trials(deepcopy=False)[number]
    if (low := trial.user_attrs.get(RUNG_RESULT)) is not None:
        raise StudyError(
            f"trial {number} was evaluated at fidelity {low['fidelity']} only; export a design "
            "with results of the last rung"
        )
    point = trial_point(spec, database, number)
    evaluator = trial_evaluator(spec, database)
    trained, final = evaluator.exported(point)
    design = DesignFile(
        format=FORMAT,
        study=spec.name,
        trial=number,
        task=spec.task.model_copy(update={"data_folder": None, "checkpoint": None}),
        training=spec.training,
        threads=spec.launch.cpus_per_trial,
        images=evaluator.data.digest,
        knobs=point.to_json(),
        adc_steps={name: list(steps) for name, steps in steps_of(final).items()},
        metrics=trial.user_attrs[METRICS],
        versions={name: version(name) for name in ("dse", "torch")},
    )
    chip = chip_of(point)
    mapping = {
        "crossbar": {"wordlines": chip.crossbar.wordlines, "bitlines": chip.crossbar.bitlines},
        "bits_per_cell": chip.crossbar.bits_per_cell,
        "encoding": point.encoding,
        "engine": point.engine.name,
        "adc_steps": design.adc_steps,
        "layers": explained["layers"],
        "components": explained["components"],
    }
    document = yaml.safe_dump(design.model_dump(mode="json"), sort_keys=False)
    tensors: dict[str, Mapping[str, Tensor]] = {
        CODES_FILE: below(final.tensors, CODES),
        WEIGHTS_FILE: below(final.tensors, STATE),
        FP32_FILE: trained.tensors,
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, held in tensors.items():
            save_file({key: each.contiguous() for key, each in held.items()}, folder / name)
        (folder / MAPPING).write_text(json.dumps(mapping, indent=2) + "\n", encoding="utf-8")
        (folder / DESIGN).write_text(document, encoding="utf-8")
    except OSError as error:
        raise SpecError(
            f"--out {folder}: cannot be written ({error.strerror}); name a folder that can"
        ) from None
    return tuple(folder / name for name in (DESIGN, MAPPING, *tensors))


def read_design(folder: Path) -> DesignFile:
    """`design.yaml` of an export.

    Raises:
        SpecError: There is none, or it is of another format.
    """
    file = folder / DESIGN
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecError(
            f"{folder} is a folder that `dse export` wrote, got: {DESIGN}: {error.strerror}"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        raise SpecError(f"{file} is YAML, got: {reason}. Export the design again") from None
    try:
        found = DesignFile.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        at = ".".join(map(str, first["loc"]))
        raise SpecError(f"{file}: {at}: {first['msg']}. Export the design again") from None
    if found.format != FORMAT:
        raise SpecError(
            f"{file} has format {found.format}, this version reads {FORMAT}; export it again"
        )
    return found


def score(folder: Path, *, data_folder: Path | None = None) -> Score:
    """Evaluate an export again: accuracy by simulation, costs from the codes.

    Args:
        folder: What `export_design` wrote; the module of a network of one's own may lie there.
        data_folder: Where the images lie, if not where the data set looks by itself.

    Raises:
        SpecError: A file is missing or not what it should be, or the images are others.
    """
    design = read_design(folder)
    task = design.task
    if data_folder is not None:
        task = task.model_copy(update={"data_folder": str(data_folder.resolve())})
    point = _point(design)
    tensors = {name: _tensors(folder / name) for name in (CODES_FILE, WEIGHTS_FILE, FP32_FILE)}
    final = StageResult(
        tensors={
            **{CODES + name: tensor for name, tensor in tensors[CODES_FILE].items()},
            **{STATE + name: tensor for name, tensor in tensors[WEIGHTS_FILE].items()},
        },
        data={"adc_steps": design.adc_steps},
    )
    with TemporaryDirectory() as store:  # nothing is looked up
        evaluator = Evaluator(
            EvaluationSettings(
                task=task,
                epochs=0,
                training=design.training,
                threads=design.threads,
                store=Path(store),
                folders=(str(folder.resolve()),),
            )
        )
        if evaluator.data.digest != design.images:
            raise SpecError(
                f"{folder / DESIGN} was evaluated on other images: their digest is "
                f"{design.images[:12]}, that of the images here {evaluator.data.digest[:12]}. "
                "Name the folder of the same data with --data"
            )
        metrics, _ = evaluator.score(
            point, trained=StageResult(tensors=tensors[FP32_FILE]), final=final
        )
    return Score(design=design, metrics=metrics)


def _point(design: DesignFile) -> DesignPoint:
    point = draw_design(design_space(DESIGN, design.knobs, {}), _missing)
    found = point.to_json()
    if other := [
        k for k in sorted({*found, *design.knobs}) if found.get(k) != design.knobs.get(k)
    ]:
        raise SpecError(
            f"{DESIGN}: knobs: a design has exactly those that it needs, {', '.join(other)} is "
            "missing or one too many; export the design again"
        )
    return point


def _missing(path: str, _: Domain) -> Value:
    raise SpecError(f"{DESIGN}: knobs: {path} is missing; export the design again")


def _tensors(file: Path) -> dict[str, Tensor]:
    return read_checkpoint("the export", file)
