"""A study of any size, its trials written in bulk: every row as `dse run` writes it.

The designs are drawn by chance from the study's space, all different; their results are made up:
accuracy rises with the converters' bits and saturates, energy and area rise with them and with the
arrays. One design in fifty failed, one in fifty was ruled out before training, one trial in
fifty is a copy of a known design.
"""

from __future__ import annotations

import datetime
import json
import math
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from dse.database import open_database
from dse.nesting import distribution_of
from dse.resuming import driving
from dse.spec import StudySpec
from dse.storing.bulk_writer import BulkWriter
from search_spaces.domains import Choice, Domain, FloatRange, IntRange, Value
from search_spaces.draw import DesignSpace, draw_design

SPEC: dict[str, Any] = {
    "name": "large",
    "task": "mlp_mnist",
    "space": {
        "regularizer": ["none", "l1", "bit_slice_l1"],
        "regularizer.strength": "log 0.05..5",
        "crossbar.wordlines": [64, 128, 256],
        "crossbar.bitlines": [64, 128, 256],
        "adc.bits": "1..8",
        "adc.model": ["saberi", "survey"],
    },
    "objectives": ["maximize accuracy", "minimize energy_uj", "minimize area_mm2"],
    "constraints": ["accuracy_loss <= 0.3"],
    "sampler": {"name": "random", "seed": 3},
    "launch": "serial",
}
_CHUNK = 2000
_BEGAN = datetime.datetime(2026, 9, 4)


def study_spec(trials: int, sampler: str = "random") -> StudySpec:
    """The spec of the large study."""
    changes = {"budget": {"trials": trials}, "sampler": {"name": sampler, "seed": 3}}
    return StudySpec.from_mapping({**SPEC, **changes}, where="benchmark")


def make_study(url: str, trials: int, sampler: str = "random") -> StudySpec:
    """Create the study and write its trials."""
    spec = study_spec(trials, sampler)
    database = open_database(url, write=True)
    with driving(database, spec) as study:
        writer, makers = BulkWriter(study.optuna), _Maker(spec.design_space())
        for first in range(0, trials, _CHUNK):
            numbers = range(first, min(first + _CHUNK, trials))
            writer.write([makers.trial(number) for number in numbers])
    database.storage.engine.dispose()
    return spec


@dataclass(frozen=True, slots=True, kw_only=True)
class _Design:
    params: dict[str, Value]
    digest: str
    metrics: dict[str, float]


class _Maker:
    """Makes trials.

    Args:
        space: Where designs come from.
    """

    def __init__(self, space: DesignSpace) -> None:
        self._space = space
        self._rng = np.random.default_rng(1)
        self._distributions = {path: distribution_of(d) for path, d in space.free().items()}
        self._seen: set[str] = set()
        self._last: tuple[int, _Design] | None = None

    def trial(self, number: int) -> FrozenTrial:
        """The trial of a number, numbers ascending."""
        kind = number % 50
        state, user, system = TrialState.COMPLETE, {}, {}
        design = self._draw()
        if kind == 7 and self._last is not None:
            user["duplicate_of"], design = self._last
        user["design"] = {"draw": number, "digest": design.digest, "attempt": 1}
        loss = 0.97 - design.metrics["accuracy"]
        if kind == 11:
            state = TrialState.FAIL
            user["error"] = "StageError: compress: the loss is no number"
        else:
            system["constraints:accuracy_loss <= 0.3"] = loss - 0.3
        if kind == 13:
            state = TrialState.PRUNED
            user |= {"seconds": 0.1, "ruled_out": {"reason": "too large", "trained": False}}
        if state == TrialState.COMPLETE:
            user |= {"metrics": design.metrics, "seconds": 12.5}
            if kind != 7:
                self._last = (number, design)
                user["stages"] = {
                    stage: {"key": f"{design.digest}{stage}", "cached": False, "seconds": 3.1}
                    for stage in ("pretrain", "compress", "estimate", "simulate")
                }
                name = str(uuid.UUID(int=number))
                system[f"artifacts:{name}"] = json.dumps(
                    {
                        "artifact_id": name,
                        "filename": "report.json",
                        "mimetype": "application/json",
                        "encoding": None,
                    }
                )
        began = _BEGAN + datetime.timedelta(seconds=12 * number)
        return FrozenTrial(
            number=number,
            trial_id=number,
            state=state,
            value=None,
            values=_values(design.metrics) if state == TrialState.COMPLETE else None,
            datetime_start=began,
            datetime_complete=began + datetime.timedelta(seconds=12.5),
            params=design.params,
            distributions={path: self._distributions[path] for path in design.params},
            user_attrs=user,
            system_attrs=system,
            intermediate_values={},
        )

    def _draw(self) -> _Design:
        while True:
            params: dict[str, Value] = {}

            def choose(path: str, domain: Domain, params: dict[str, Value] = params) -> Value:
                params[path] = self._value(domain)
                return params[path]

            digest = draw_design(self._space, choose).digest()
            if digest not in self._seen:
                self._seen.add(digest)
                return _Design(params=params, digest=digest, metrics=self._metrics(params))

    def _value(self, domain: Domain) -> Value:
        if isinstance(domain, Choice):
            return domain.values[int(self._rng.integers(len(domain.values)))]
        if isinstance(domain, IntRange):
            return int(self._rng.integers(domain.low, domain.high + 1))
        assert isinstance(domain, FloatRange), "a free text is listed"
        if domain.log:
            return math.exp(self._rng.uniform(math.log(domain.low), math.log(domain.high)))
        return float(self._rng.uniform(domain.low, domain.high))

    def _metrics(self, params: dict[str, Value]) -> dict[str, float]:
        bits = [int(v) for path, v in params.items() if path.startswith("adc.bits")]
        rows, columns = (int(params[f"crossbar.{side}lines"]) for side in ("word", "bit"))
        strength = float(params.get("regularizer.strength") or 0.0)
        lost = sum(0.6 ** (b * 64 / rows) for b in bits) / 8
        lost += 0.02 * abs(math.log10(strength + 0.1)) + 0.02 * self._rng.random()
        energy = sum(2.0**b for b in bits) * rows / 64 / (1 + strength) * (1 + 32 / columns)
        area = sum(1.5**b for b in bits) * (1 + columns / 128) / math.sqrt(rows)
        return {
            "accuracy": 0.97 - lost,
            "accuracy_ideal": 0.96,
            "accuracy_float": 0.97,
            "accuracy_loss": lost,
            "energy_j": energy * 1e-9,
            "adc_energy_j": energy * 5e-10,
            "adc_energy_vs_8bit": sum(bits) / 32,
            "latency_s": 1.6e-6,
            "area_m2": area * 1e-7,
            "crossbars": 64.0,
            "adc_conversions": 1e5,
            "nonzero_slice_ratio": 0.1,
        }


def _values(metrics: dict[str, float]) -> list[float]:
    return [metrics["accuracy"], metrics["energy_j"] / 1e-6, metrics["area_m2"] / 1e-6]
