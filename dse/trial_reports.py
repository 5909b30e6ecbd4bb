"""Reports of trials: costs by layer and component, as artifacts beside the database."""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Mapping
from dataclasses import asdict
from io import BytesIO
from typing import Any

import optuna
from optuna.artifacts import ArtifactMeta, FileSystemArtifactStore, get_all_artifact_meta
from optuna.trial import FrozenTrial, TrialState

from dse.database import Database
from dse.errors import StudyError
from dse.trials import DUPLICATE_OF, ERROR, RULED_OUT

_REPORT = "report.json"
_JSON = "application/json"
_ATTRIBUTE = "artifacts:"

_logger = logging.getLogger(__name__)


def artifact_store(database: Database) -> FileSystemArtifactStore:
    """Where large results lie."""
    folder = database.home / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    return FileSystemArtifactStore(folder)


def has_report(study: optuna.Study, trial: FrozenTrial) -> bool:
    """Whether a report was kept; of designs that were told in batches there is none."""
    if (original := trial.user_attrs.get(DUPLICATE_OF)) is not None:
        trial = study.get_trials(deepcopy=False)[original]
    return any(
        meta.filename == _REPORT for meta in get_all_artifact_meta(trial, storage=study._storage)
    )


def read_report(study: optuna.Study, database: Database, trial: FrozenTrial) -> Mapping[str, Any]:
    """Costs of a trial's design by layer and component.

    Raises:
        StudyError: The trial has no report, or its file is gone.
    """
    if (original := trial.user_attrs.get(DUPLICATE_OF)) is not None:
        trial = study.get_trials(deepcopy=False)[original]
    number = trial.number
    for meta in get_all_artifact_meta(trial, storage=study._storage):
        if meta.filename == _REPORT:
            try:
                with artifact_store(database).open_reader(meta.artifact_id) as stream:
                    report: Mapping[str, Any] = json.load(stream)
                    return report
            except optuna.artifacts.exceptions.ArtifactNotFound:
                raise StudyError(
                    f"the report of trial {number} is not under {database.home / 'artifacts'}; "
                    "move that folder along with the database, or point DSE_HOME to it"
                ) from None
    if trial.state == TrialState.COMPLETE:
        raise StudyError(
            f"trial {number} of study {study.study_name!r} has no report: it was told in a batch "
            f"of the cheap lane; `dse explain {study.study_name} {number}` evaluates it again"
        )
    raise StudyError(
        f"trial {number} of study {study.study_name!r} has no report: it is {trial.state.name}"
        + (f" ({trial.user_attrs[ERROR]})" if ERROR in trial.user_attrs else "")
        + (f" ({trial.user_attrs[RULED_OUT]['reason']})" if RULED_OUT in trial.user_attrs else "")
    )


def upload_report(
    study: optuna.Study, database: Database, trial: optuna.Trial, report: Mapping[str, Any]
) -> None:
    """Keep the report of a running trial; without it, with a warning, where there is no room."""
    try:
        attributes = stored_report(database, report)
    except OSError as error:
        _logger.warning(
            "the report of trial %d is not kept (%s); free space under %s",
            trial.number,
            error,
            database.home,
        )
        return
    for key, text in attributes.items():
        study._storage.set_trial_system_attr(trial._trial_id, key, text)


def stored_report(database: Database, report: Mapping[str, Any]) -> dict[str, str]:
    """Keep the report of a trial.

    Returns:
        System attributes by which the trial finds it, as `upload_artifact` would write them.
    """
    name = str(uuid.uuid4())
    artifact_store(database).write(name, BytesIO(json.dumps(report).encode()))
    meta = ArtifactMeta(artifact_id=name, filename=_REPORT, mimetype=_JSON, encoding=None)
    return {_ATTRIBUTE + name: json.dumps(asdict(meta))}
