"""Service: the studies of a database, read, started and stopped for the API."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import yaml

from dse.errors import LaunchError, StudyError
from dse.front_view import view_columns
from dse.lease import whose
from dse.reporting.front import front_json
from dse.reporting.status import study_status
from dse.serving.exports import Exports
from dse.serving.live import LiveStudy
from dse.serving.models import RunInfo, StudySummary
from dse.serving.readers import Readers
from dse.serving.runs import Launcher, Run
from dse.serving.settings import ServeSettings
from dse.serving.state import State, ending, n_done, never_made, starting, study_state
from dse.serving.stopping import Stops
from dse.serving.study_files import FILE, Upload
from dse.trial_attributes import COMPLETE, SPEC, STATES

MAX_LOG_BYTES = 256 * 1024


class Service:
    """What the API does; it evaluates nothing.

    Args:
        settings: Of the server.
        launcher: Starts runs.
        exports: Take designs away.
    """

    def __init__(self, settings: ServeSettings, launcher: Launcher, exports: Exports) -> None:
        self.settings = settings
        self.exports = exports
        self.readers = Readers(settings.storage)
        self._launcher = launcher
        self._stops = Stops(settings.storage)
        self._born = secrets.token_hex(4)
        self._seen: set[tuple[str, int]] = set()
        """Runs that owned their study already."""

    def close(self) -> None:
        """Close all connections; runs go on."""
        self.readers.close()
        self._stops.close()

    async def summaries(self) -> list[StudySummary]:
        """All studies, those among them that are only being started."""
        names = await self.readers.names()
        found = await self.readers.studies(names, self._summary)
        there = [each for each in found if each is not None]
        launched = await asyncio.to_thread(self._launched, {each.name for each in there})
        return sorted([*there, *launched], key=lambda each: each.name.lower())

    async def summary(self, name: str) -> StudySummary:
        """One study.

        Raises:
            StudyError: There is none of that name.
        """
        try:
            return await self.readers.study(name, self._summary)
        except StudyError:
            run = await asyncio.to_thread(self._launcher.find, name)
            if run is None:
                raise
            return _not_yet(name, run)

    async def status(self, name: str) -> tuple[str, dict[str, Any]]:
        """As `dse status` prints it, and its version."""

        def work(live: LiveStudy) -> tuple[str, dict[str, Any]]:
            live.require_spec()
            spec, attributes = live.study.spec(live.source), live.study.user_attrs
            now = live.once("status", lambda: study_status(live.columns, spec, attributes))
            drivers = [{"host": d["host"], "pid": d["pid"]} for d in live.drivers]
            return self.version(live), {**now, "running_now": bool(drivers), "drivers": drivers}

        return await self.readers.study(name, work)

    async def front(
        self, name: str, where: Sequence[str], objectives: str | None
    ) -> tuple[str, dict[str, Any]]:
        """As `dse pareto` prints it, and its version.

        Raises:
            SpecError: A condition or an objective says what cannot be.
        """

        def work(live: LiveStudy) -> tuple[str, dict[str, Any]]:
            live.require_spec()
            spec = live.study.spec(live.source)

            def compute() -> dict[str, Any]:
                own = live.study.objectives(live.source)
                return front_json(
                    view_columns(
                        live.columns,
                        own,
                        points=spec["points"],
                        where=where,
                        objectives=objectives,
                    )
                )

            key = ("front", tuple(where), objectives)
            return self.version(live), live.once(key, compute)

        return await self.readers.study(name, work)

    async def launch(self, upload: Upload) -> Run:
        """Start a new study.

        Raises:
            LaunchError: There is a study of that name, or it cannot be started.
        """
        name = upload.spec.name
        if name in await self.readers.names():
            raise LaunchError(
                f"there is a study {name!r} already; resume it, or give this one another name"
            )
        options = [word for change in upload.changes for word in ("--set", change)]
        return await asyncio.to_thread(
            self._launcher.start, name, "run", options, text=upload.text
        )

    async def resume(self, name: str, options: Sequence[str]) -> Run:
        """Go on with a study.

        Raises:
            StudyError: There is no such study.
            LaunchError: It is being run.
        """

        def drivers(live: LiveStudy) -> list[dict[str, Any]]:
            live.require_spec()
            return live.drivers

        if held := await self.readers.study(name, drivers):
            raise LaunchError(f"study {name!r} is being run by {', '.join(map(whose, held))}")
        return await asyncio.to_thread(self._launcher.start, name, "resume", options)

    async def stop(self, name: str, *, pause: bool) -> str:
        """Ask the run of a study to end.

        Raises:
            StudyError: There is no such study.
            LaunchError: There is nothing to pause.
        """
        found = await self.summary(name)
        if found.state == "starting":
            ended = await asyncio.to_thread(self._launcher.terminate, name)
            return f"asked the process that starts {name!r} to end" if ended else "it has ended"
        if found.state is None or (found.run is not None and not found.version):
            raise LaunchError(f"nobody runs study {name!r}: there is nothing to stop")
        if not pause and found.state == "finished":
            raise LaunchError(f"study {name!r} has finished: there is nothing to cancel")
        return await asyncio.to_thread(self._stops.ask, name, pause=pause)

    async def require_result(self, name: str, trial: int) -> None:
        """Make sure that a trial is there and has results.

        Raises:
            StudyError: It is not, or has none.
        """

        def work(live: LiveStudy) -> None:
            live.require_spec()
            numbers, states = live.columns.numbers, live.columns.states
            row = int(np.searchsorted(numbers, trial))
            if row == len(numbers) or numbers[row] != trial:
                raise StudyError(f"study {name!r} has no trial {trial}; it has {len(numbers)}")
            if states[row] != COMPLETE:
                raise StudyError(f"trial {trial} has no results, it is {STATES[states[row]]}")

        await self.readers.study(name, work)

    async def study_file(self, name: str) -> str:
        """The study file that was sent here, else one that says what the database holds.

        Raises:
            StudyError: There is no such study, or dse did not make it.
        """
        file = self._launcher.log(name).with_name(FILE)
        if file.is_file():
            return await asyncio.to_thread(file.read_text, encoding="utf-8")

        def work(live: LiveStudy) -> str:
            spec = live.study.spec(live.source)
            said = {key: value for key, value in spec.items() if key != "folders" and value}
            return str(yaml.safe_dump(said, sort_keys=False, default_flow_style=None))

        return await self.readers.study(name, work)

    async def log(self, name: str, offset: int | None, limit: int) -> dict[str, Any]:
        """A part of the log of a study's runs; its end if no offset is given.

        Raises:
            StudyError: There is no such study.
        """
        file = self._launcher.log(name)
        if not file.is_file():
            await self.summary(name)
            return {"text": "", "offset": 0, "next": 0, "size": 0, "kept": False}
        return await asyncio.to_thread(_part, str(file), offset, limit)

    def _launched(self, known: set[str]) -> list[StudySummary]:
        """Studies that were started here, and are not in the database (yet)."""
        found = []
        for name in self._launcher.names():
            run = None if name in known else self._launcher.find(name)
            if run is not None:
                found.append(_not_yet(name, run))
        return found

    def _summary(self, live: LiveStudy) -> StudySummary:
        study = live.study
        run = self._launcher.find(study.name)
        spec = study.user_attrs.get(SPEC)
        counts = live.once("counts", live.columns.counts)
        if spec is None or study.metric_names is None:
            state = None if run is None or not run.alive else starting(run)
            return StudySummary(
                name=study.name,
                made_by_dse=state is not None,
                state=None if state is None else state.name,
                why="not made by dse" if state is None else state.why,
                actions=[] if state is None else list(state.actions),
                objectives=list(study.directions),
                n_trials=counts,
                done=counts["complete"],
                budget=None,
                version=self.version(live),
                run=None if run is None else run_info(run),
            )
        state = self._state(live, run)
        return StudySummary(
            name=study.name,
            made_by_dse=True,
            state=state.name,
            why=state.why,
            actions=list(state.actions),
            objectives=list(spec["objectives"]),
            n_trials=counts,
            done=live.once("done", lambda: n_done(live.columns, spec)),
            budget=spec["budget"]["trials"],
            version=self.version(live),
            run=None if run is None else run_info(run),
        )

    def _state(self, live: LiveStudy, run: Run | None) -> State:
        name = live.study.name
        if run is not None and run.alive:
            drivers = live.drivers
            if run.pid in [driver["pid"] for driver in drivers]:
                self._seen.add((name, run.pid))
            elif not drivers and (name, run.pid) not in self._seen:
                return starting(run)
            elif not drivers:  # its driver has given it back, and is about to end
                state = study_state(live, live.study.spec(live.source), run)
                return ending(run) if state.name == "interrupted" else replace(state, actions=())
        return study_state(live, live.study.spec(live.source), run)

    def version(self, live: LiveStudy) -> str:
        """Another one whenever the study changed."""
        return f"{self._born}-{live.study.study_id}-{live.version}"


def _not_yet(name: str, run: Run) -> StudySummary:
    state = starting(run) if run.alive else never_made(run)
    return StudySummary(
        name=name,
        made_by_dse=True,
        state=state.name,
        why=state.why,
        actions=list(state.actions),
        objectives=[],
        n_trials={},
        done=0,
        budget=None,
        version="",
        run=run_info(run),
    )


def run_info(run: Run) -> RunInfo:
    """What the API tells of a run."""
    return RunInfo(
        action=run.action,
        host=run.host,
        pid=run.pid,
        at=run.at,
        alive=run.alive,
        exit_code=run.exit_code,
    )


def _part(file: str, offset: int | None, limit: int) -> dict[str, Any]:
    """Whole lines, as far as there are any."""
    limit = min(limit, MAX_LOG_BYTES)
    with open(file, "rb") as log:  # noqa: PTH123
        size = log.seek(0, 2)
        begin = max(0, size - limit) if offset is None else min(offset, size)
        log.seek(begin)
        data = log.read(limit)
    if offset is None and begin > 0 and b"\n" in data:  # the first line is cut
        cut = data.index(b"\n") + 1
        begin, data = begin + cut, data[cut:]
    if b"\n" in data:
        data = data[: data.rindex(b"\n") + 1]
    return {
        "text": data.decode(errors="replace"),
        "offset": begin,
        "next": begin + len(data),
        "size": size,
        "kept": True,
    }
