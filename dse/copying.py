"""copy_study(): a whole study to another database, in one transaction, and read back."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy
from optuna.storages._rdb import models
from sqlalchemy.engine import Connection
from sqlalchemy.exc import IntegrityError

from dse.database import Database, storage_errors
from dse.errors import StorageError, StudyError
from dse.lease import ATTRIBUTE, SHARED, STOP, live_leases, whose
from dse.resuming import IDENTITY, SPEC, load_optuna
from dse.trial_attributes import STAGES

_CHUNK = 2000
_ARTIFACT = "artifacts:"
_STUDIES: Any = models.StudyModel.__table__
_TRIALS: Any = models.TrialModel.__table__
_OF_STUDY: tuple[Any, ...] = (
    models.StudyDirectionModel.__table__,
    models.StudyUserAttributeModel.__table__,
    models.StudySystemAttributeModel.__table__,
)
_OF_TRIALS: tuple[Any, ...] = (
    models.TrialParamModel.__table__,
    models.TrialValueModel.__table__,
    models.TrialIntermediateValueModel.__table__,
    models.TrialUserAttributeModel.__table__,
    models.TrialSystemAttributeModel.__table__,
    models.TrialHeartbeatModel.__table__,
)
_NOT_COPIED = (ATTRIBUTE, STOP)
"""Attributes of a study that belong to its driver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied, as it was read back.

    Attributes:
        trials: How many.
        rows: Of all tables.
        digest: SHA-256 of all rows, the same on both sides.
        files: Artifacts and stage results that the target did not have.
        missing: Artifacts and stage results that were gone already.
    """

    trials: int
    rows: int
    digest: str
    files: int
    missing: int


def copy_study(
    source: Database, target: Database, name: str, *, new_name: str, stages: bool = True
) -> Copied:
    """Copy a study with all of its attributes, and its trials with their numbers and states.

    Files come first, then all rows in one transaction, which ends only after they were read back
    from it: whoever interrupts the copy leaves no study of the new name.

    Args:
        source: Where it is; not changed.
        target: Where it goes.
        name: Of the study.
        new_name: What it is called there.
        stages: Whether the results of stages that its trials name are copied, too; artifacts
            always are.

    Raises:
        StudyError: There is no such study, somebody runs it, or the target has one of that name.
        StorageError: A database fails, or what was read back differs.
    """
    with storage_errors(source):
        attributes = load_optuna(source, name).user_attrs
    if live := live_leases(attributes):
        raise StudyError(
            f"study {name!r} is being run by {', '.join(map(whose, live.values()))}; stop it "
            f"first: dse cancel {name} --wait"
        )
    with storage_errors(target), _reading(source) as reader, _writing(target) as writer:
        if _id_of(writer, new_name) is not None:
            raise _exists(new_name, target)
        study_id = _id_of(reader, name)
        assert study_id is not None, "it was loaded above"
        renamed = _Rows(reader, study_id, new_name if new_name != name else None)
        counts = (
            _copy_files(renamed, source, target, stages) if source.home != target.home else (0, 0)
        )
        try:
            new_id = _insert(writer, renamed, new_name)
        except IntegrityError:
            raise _exists(new_name, target) from None
        there = _digest(renamed)
        back = _digest(_Rows(writer, new_id, None))
        if there != back:
            raise StorageError(
                f"{target.url}: what was read back differs from {source.url} ({back[1]} of "
                f"{there[1]} rows); nothing was copied"
            )
        trials = reader.execute(_count(study_id)).scalar_one()
    return Copied(
        trials=trials, rows=there[1], digest=there[0], files=counts[0], missing=counts[1]
    )


def _exists(name: str, target: Database) -> StudyError:
    return StudyError(
        f"there is a study {name!r} in {target.url} already; give the copy another name with "
        "--name"
    )


class _Rows:
    """The rows of a study without the keys that a database chooses.

    Args:
        connection: Open.
        study_id: Of the study.
        new_name: What its spec shall call it; None leaves it.
    """

    def __init__(self, connection: Connection, study_id: int, new_name: str | None) -> None:
        self._connection = connection
        self._study_id = study_id
        self._new_name = new_name

    def of_study(self, table: Any) -> Iterator[dict[str, Any]]:
        columns = [c for c in table.c if not c.primary_key and c.name != "study_id"]
        query = sqlalchemy.select(*columns).where(table.c.study_id == self._study_id)
        order = "objective" if "objective" in table.c else "key"
        found = [dict(row) for row in self._connection.execute(query).mappings()]
        for row in sorted(found, key=lambda row: str(row[order])):
            key = row.get("key")
            if key in _NOT_COPIED or str(key).startswith(SHARED):
                row["value_json"] = "null"
            elif self._new_name is not None and key in (SPEC, IDENTITY):
                row["value_json"] = json.dumps(
                    {**json.loads(row["value_json"]), "name": self._new_name}
                )
            yield row

    def trials(self) -> Iterator[dict[str, Any]]:
        columns = [c for c in _TRIALS.c if c.name not in ("trial_id", "study_id")]
        return self._streamed(
            sqlalchemy.select(*columns)
            .where(_TRIALS.c.study_id == self._study_id)
            .order_by(_TRIALS.c.trial_id)
        )

    def of_trials(self, table: Any) -> Iterator[dict[str, Any]]:
        """Rows with the place of their trial among the study's, from 0, as `trial_id`."""
        ids = sqlalchemy.select(_TRIALS.c.trial_id).where(_TRIALS.c.study_id == self._study_id)
        places = {
            trial_id: place
            for place, trial_id in enumerate(
                self._connection.execute(ids.order_by(_TRIALS.c.trial_id)).scalars()
            )
        }
        (key,) = table.primary_key.columns
        columns = [c for c in table.c if c is not key]
        query = (
            sqlalchemy.select(*columns)
            .join(_TRIALS, _TRIALS.c.trial_id == table.c.trial_id)
            .where(_TRIALS.c.study_id == self._study_id)
            .order_by(table.c.trial_id, key)
        )
        for row in self._streamed(query):
            yield {**row, "trial_id": places[row["trial_id"]]}

    def _streamed(self, query: Any) -> Iterator[dict[str, Any]]:
        options = {"yield_per": _CHUNK}
        for row in self._connection.execute(query, execution_options=options).mappings():
            yield dict(row)


def _insert(writer: Connection, rows: _Rows, name: str) -> int:
    inserted = writer.execute(sqlalchemy.insert(_STUDIES).values(study_name=name))
    assert inserted.inserted_primary_key is not None, "of one row"
    study_id: int = inserted.inserted_primary_key[0]
    for table in _OF_STUDY:
        _insert_many(
            writer, table, ({**row, "study_id": study_id} for row in rows.of_study(table))
        )
    trials = ({**row, "study_id": study_id} for row in rows.trials())
    _insert_many(writer, _TRIALS, trials)
    ids = writer.execute(
        sqlalchemy.select(_TRIALS.c.trial_id)
        .where(_TRIALS.c.study_id == study_id)
        .order_by(_TRIALS.c.trial_id)
    )
    new_ids = ids.scalars().all()
    for table in _OF_TRIALS:
        own = ({**row, "trial_id": new_ids[row["trial_id"]]} for row in rows.of_trials(table))
        _insert_many(writer, table, own)
    return study_id


def _insert_many(writer: Connection, table: Any, rows: Iterable[dict[str, Any]]) -> None:
    """One after the other, so that the keys ascend in this order."""
    left = iter(rows)
    while chunk := list(islice(left, _CHUNK)):
        writer.execute(sqlalchemy.insert(table).inline(), chunk)


def _digest(rows: _Rows) -> tuple[str, int]:
    """SHA-256 of all rows in order, and how many they are."""
    digest, count = hashlib.sha256(), 0

    def take(table: Any, found: Iterable[dict[str, Any]]) -> None:
        nonlocal count
        digest.update(table.name.encode())
        for row in found:
            digest.update(repr([row[key] for key in sorted(row)]).encode())
            count += 1

    for table in _OF_STUDY:
        take(table, rows.of_study(table))
    take(_TRIALS, rows.trials())
    for table in _OF_TRIALS:
        take(table, rows.of_trials(table))
    return digest.hexdigest(), count


def _copy_files(rows: _Rows, source: Database, target: Database, stages: bool) -> tuple[int, int]:
    """Copy what the trials name; how many files there were, and how many were gone."""
    wanted: set[Path] = set()
    for row in rows.of_trials(models.TrialSystemAttributeModel.__table__):
        if row["key"].startswith(_ARTIFACT):
            wanted.add(Path("artifacts") / row["key"].removeprefix(_ARTIFACT))
    if stages:
        for row in rows.of_trials(models.TrialUserAttributeModel.__table__):
            if row["key"] == STAGES:
                for stage, told in json.loads(row["value_json"]).items():
                    key = str(told["key"])
                    wanted.add(Path("stages") / stage / key[:2] / f"{key}.safetensors")
    copied = missing = 0
    for file in sorted(wanted):
        if not (source.home / file).is_file():
            missing += 1
        elif not (target.home / file).exists():
            _copy_file(source.home / file, target.home / file)
            copied += 1
    return copied, missing


def _copy_file(old: Path, new: Path) -> None:
    """Whole or not at all.

    Raises:
        StorageError: The folder cannot be written.
    """
    try:
        new.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=new.parent, prefix=".copy-")
        os.close(handle)
        try:
            shutil.copyfile(old, part)
            Path(part).replace(new)
        finally:
            Path(part).unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{new}: cannot be written ({error.strerror}); make room, or leave results of stages "
            "out with --without-files"
        ) from error


def _id_of(connection: Connection, name: str) -> int | None:
    query = sqlalchemy.select(_STUDIES.c.study_id).where(_STUDIES.c.study_name == name)
    found: int | None = connection.execute(query).scalar_one_or_none()
    return found


def _count(study_id: int) -> Any:
    return (
        sqlalchemy.select(sqlalchemy.func.count())
        .select_from(_TRIALS)
        .where(_TRIALS.c.study_id == study_id)
    )


@contextmanager
def _reading(database: Database) -> Iterator[Connection]:
    """A connection that sees one moment."""
    with database.storage.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
            yield connection
            return
        snapshot = connection.execution_options(isolation_level="REPEATABLE READ")
        yield snapshot


@contextmanager
def _writing(database: Database) -> Iterator[Connection]:
    """A transaction: whole at the end, or nothing."""
    with database.storage.engine.begin() as connection:
        yield connection
