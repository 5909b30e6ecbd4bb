"""DesignViews: what the drill-down of a design shows, for any design of a study."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import optuna
import yaml

from dse.database import Database
from dse.errors import StudyError
from dse.metrics import SI_METRICS, shown_name
from dse.reporting.design import explained_trial, original_of, told_trial
from dse.reporting.labels import axis_label
from dse.resuming import load_optuna, load_spec
from dse.spec import StudySpec
from dse.sqlite_file import DEFAULT_URL
from dse.trial_reports import read_report
from dse.trials import SECONDS


class DesignViews:
    """Reads designs of a study one at a time: a large study is not loaded for them.

    Args:
        database: Where it lives, with the reports of its designs.
        name: Of the study.

    Raises:
        StudyError: There is no such study, or dse did not make it.
    """

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._spec: StudySpec = load_spec(database, name)
        self._study: optuna.Study = load_optuna(database, name)

    def view(self, trial: int) -> dict[str, Any]:
        """One design in full.

        Returns:
            `explained`, as `dse explain --format json` prints it, without layers and components
            where there is no report, and `missing` with the reason then; `metrics`, their names,
            labels and meanings in order; `seconds` of the evaluation; `commands` that reproduce
            it, one a line; `points`, the design as an entry of a study file.

        Raises:
            StudyError: There is no such trial, or it has no results.
        """
        told = told_trial(self._study, self._spec, trial)
        report: Mapping[str, Any] = {}
        missing = ""
        try:
            original = original_of(self._study, self._spec, told)
            report = _checked(read_report(self._study, self._database, original), trial)
        except (StudyError, OSError) as error:
            missing = str(error)
        except (KeyError, TypeError, ValueError) as error:  # what names the file, or holds it
            missing = f"the report of trial {trial} cannot be read: {error!r}"
        explained = explained_trial(self._spec, told, report)
        return {
            "trial": trial,
            "explained": explained,
            "missing": missing,
            "metrics": [
                {"name": name.written, "label": axis_label(name), "meaning": meaning}
                for si, meaning in SI_METRICS.items()
                if (name := shown_name(si)).written in explained["metrics"]
            ],
            "seconds": told.user_attrs.get(SECONDS),
            "commands": commands(self._spec.name, trial, self._database.url),
            "points": yaml.safe_dump(
                {"points": [dict(told.params)]}, sort_keys=False, default_flow_style=False
            ),
        }


def commands(name: str, trial: int, url: str) -> list[str]:
    """What shows a design again, takes it away, and evaluates it anew."""
    where = "" if url == DEFAULT_URL else f" --storage {shlex.quote(url)}"
    folder = f"{name}-{trial}"
    return [
        f"dse explain {name} {trial}{where}",
        f"dse export {name} {trial} --out {folder}{where}",
        f"dse score {folder}",
    ]


def _checked(report: Mapping[str, Any], trial: int) -> Mapping[str, Any]:
    """A report that has what is drawn of it.

    Raises:
        StudyError: It does not.
    """
    try:
        for cost in report["components"].values():
            _numbers(cost["energy_j"], cost["area_m2"])
        for layer in report["layers"]:
            bits = layer["adc_bits"]
            if len(bits["used"]) != len(bits["lossless"]):
                raise ValueError("adc_bits")
            _numbers(layer["k"], layer["n"], layer["v"], layer["crossbars"], layer["latency_s"])
            _numbers(*bits["used"], *bits["lossless"], *layer["nonzero_slice_ratio"])
            _numbers(*layer["energy_j"].values())
        _numbers(*report["nonzero_slice_ratios"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise StudyError(f"the report of trial {trial} is not as expected: {error!r}") from None
    return report


def _numbers(*values: object) -> None:
    for value in values:
        if not isinstance(value, int | float):
            raise TypeError(f"{value!r} is no number")
