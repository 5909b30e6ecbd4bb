"""RayExecutor: persistent, warm Ray actors."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayError

from dse.errors import LaunchError
from dse.evaluation import Failure, Job, Outcome
from dse.launching.back_off import BackOff
from dse.launching.batches import Evaluating as Evaluating
from dse.launching.batches import outcome_of, size_of
from dse.launching.cpus import usable_cpus
from dse.launching.executor import too_slow
from dse.launching.ray_cluster import any_node_lives, brief, connect, room_for

_ALONE_S = 120.0
"""So long without any worker, and the run gives up; the study can be resumed."""

_COUNT_ROOM_S = 2.0
"""So often the nodes are counted."""

_logger = logging.getLogger(__name__)


class _Worker:
    """Lives as long as the run and keeps data and networks in memory between designs."""

    def __init__(self, make: Callable[[Any], Evaluating], settings: Any) -> None:
        self._evaluator = make(settings)

    def ping(self) -> int:
        return os.getpid()

    def outcome(self, job: Job) -> Outcome:
        return outcome_of(self._evaluator, job)


def real_evaluator(settings: Any) -> Evaluating:
    """Trains, maps and simulates; imports torch, in the worker's process only."""
    from dse.pipeline.evaluate import Evaluator

    return Evaluator(settings)


@dataclass(slots=True)
class _Member:
    """An actor of the pool, and whether it has been of use."""

    actor: Any
    has_finished_one: bool = False


@dataclass(frozen=True, slots=True)
class _Running:
    member: _Member
    job: Job
    since: float


class RayExecutor:
    """Evaluates designs on a local Ray or on a cluster.

    A worker takes designs once it has answered a ping. One that dies is replaced; its design
    comes back as a lost failure, and any idle worker may take it. Workers that die in a row
    without having finished a design are replaced ever more slowly. Where the number of workers is
    left open, the pool follows the nodes that come and go.

    Args:
        settings: What every worker needs to know.
        workers: Evaluations at the same time; None fills the machine or cluster.
        cpus_per_trial: CPUs of one evaluation.
        gpus_per_trial: GPUs of one evaluation; a local Ray offers those that torch sees.
        resources: What else one evaluation takes, by Ray's names; `memory` in bytes.
        trial_timeout_s: An evaluation that takes longer is stopped with its worker, and fails.
        address: Of a cluster; None starts Ray here, on the loopback address only.
        make: Makes what evaluates, in the worker's process.

    Raises:
        LaunchError: Ray cannot be started or reached, or has no room for a worker.
    """

    takes_batches = True

    def __init__(
        self,
        settings: Any,
        *,
        workers: int | None,
        cpus_per_trial: int,
        gpus_per_trial: float = 0.0,
        resources: Mapping[str, float] | None = None,
        trial_timeout_s: float | None = None,
        address: str | None,
        make: Callable[[Any], Evaluating] = real_evaluator,
    ) -> None:
        self._settings = settings
        self._make = make
        self._needs = {"CPU": float(cpus_per_trial), **(resources or {})}
        if gpus_per_trial > 0:
            self._needs["GPU"] = gpus_per_trial
        self._limit_s = trial_timeout_s
        self._address = address
        self._local_cpus = max(usable_cpus(), (workers or 1) * cpus_per_trial)
        self._local_gpus = local_gpus(gpus_per_trial) if address is None else 0
        connect(address, cpus=self._local_cpus, gpus=self._local_gpus)
        room = room_for(self._needs)
        if room < 1 or (workers or 1) > room:
            self.close()
            needs = ", ".join(f"{amount:g} {name}" for name, amount in self._needs.items())
            raise LaunchError(
                f"{workers or 1} workers of {needs} do not fit: Ray has room for {room}. Lower "
                "launch.workers, launch.cpus_per_trial, launch.gpus_per_trial or "
                "launch.resources, or add nodes"
            )
        self._fixed = workers
        self._size = workers or room
        self._counted_at = time.monotonic()
        self._starting: dict[Any, _Member] = {}
        self._idle: list[_Member] = []
        self._busy: dict[Any, _Running] = {}
        self._queue: list[Job] = []
        self._has_had_one = False
        self._back_off = BackOff()
        self._alone_since: float | None = None
        self._fill()

    @property
    def workers(self) -> int:
        """Size of the pool."""
        return self._size

    def submit(self, job: Job) -> None:
        """Give the design to an idle worker, or keep it until there is one."""
        self._queue.append(job)
        self._feed()

    def wait(self, timeout_s: float) -> Sequence[tuple[Job, Outcome]]:
        """What is finished; workers that started, died or hang are dealt with on the way."""
        self._check_alive()
        self._follow_nodes()
        finished = self._stop_those_that_hang()
        self._fill()
        pending = [*self._starting, *self._busy]
        if not pending:  # until the next worker may be tried
            time.sleep(0.0 if finished else min(timeout_s, 0.2))
            return finished
        ready, _ = ray.wait(
            pending, num_returns=1, timeout=0 if finished else self._until_limit(timeout_s)
        )
        if ready:
            ready, _ = ray.wait(pending, num_returns=len(pending), timeout=0)
        for reference in ready:
            if reference in self._starting:
                self._welcome(reference)
            else:
                finished.append(self._collect(reference))
        self._fill()
        self._feed()
        return finished

    def close(self) -> None:
        """Stop the workers, and the local Ray."""
        ray.shutdown()

    def _check_alive(self) -> None:
        """Start a local Ray again whose node died; give up on a cluster without any worker."""
        if self._idle or self._busy:
            self._alone_since = None
            return
        now = time.monotonic()
        self._alone_since = self._alone_since or now
        if self._address is None and not any_node_lives():
            _logger.warning("the local Ray has died; starting another")
            self.close()
            connect(None, cpus=self._local_cpus, gpus=self._local_gpus)
            self._starting.clear()
            self._alone_since = None
        elif now - self._alone_since > _ALONE_S:
            raise LaunchError(
                f"no Ray worker could be started for {_ALONE_S:.0f} s; look at the nodes with "
                "`ray status`, then continue with `dse resume`"
            )

    def _follow_nodes(self) -> None:
        """Let the pool grow and shrink with the cluster."""
        now = time.monotonic()
        if self._fixed is not None or now - self._counted_at < _COUNT_ROOM_S:
            return
        self._counted_at = now
        room = room_for(self._needs)
        if room != self._size and room > 0:
            _logger.info("the cluster has room for %d workers now, not %d", room, self._size)
            self._size = room
        while len(self._starting) > 0 and self._members() > self._size:
            _, member = self._starting.popitem()
            ray.kill(member.actor)

    def _members(self) -> int:
        return len(self._starting) + len(self._idle) + len(self._busy)

    def _fill(self) -> None:
        """Start the workers that are missing."""
        remote: Any = ray.remote(_Worker)
        own = {name: n for name, n in self._needs.items() if name not in _NAMED}
        while self._members() < self._size and self._back_off.is_over:
            options = {_NAMED[name]: n for name, n in self._needs.items() if name in _NAMED}
            actor = remote.options(
                **options, resources=own, max_restarts=0, max_task_retries=0
            ).remote(self._make, self._settings)
            self._starting[actor.ping.remote()] = _Member(actor)

    def _welcome(self, reference: Any) -> None:
        member = self._starting.pop(reference)
        try:
            pid = ray.get(reference)
        except RayError as error:
            if not self._has_had_one and self._members() == 0:
                raise LaunchError(f"no Ray worker starts: {brief(error)}") from error
            _logger.warning("a worker did not start: %s", brief(error))
            self._back_off.failed()
            return
        _logger.debug("worker %d joined", pid)
        self._has_had_one = True
        self._idle.append(member)

    def _collect(self, reference: Any) -> tuple[Job, Outcome]:
        running = self._busy.pop(reference)
        member, job = running.member, running.job
        try:
            outcome: Outcome = ray.get(reference)
        except RayError as error:
            _logger.warning("a worker was lost under trial %d; starting another", job.number)
            if not member.has_finished_one:
                self._back_off.failed()
            return job, Failure(reason=f"worker lost: {_why_lost(error)}", lost=True)
        if isinstance(outcome, Failure) and outcome.lost:  # out of memory: not a process to keep
            ray.kill(member.actor)
            return job, outcome
        member.has_finished_one = True
        self._back_off.succeeded()
        self._idle.append(member)
        return job, outcome

    def _stop_those_that_hang(self) -> list[tuple[Job, Outcome]]:
        """Kill workers whose evaluation takes longer than it may."""
        stopped: list[tuple[Job, Outcome]] = []
        if self._limit_s is None:
            return stopped
        now = time.monotonic()
        late = [
            reference
            for reference, each in self._busy.items()
            if now - each.since > self._limit_s * size_of(each.job)
        ]
        for reference in late:
            running = self._busy.pop(reference)
            ray.kill(running.member.actor)
            stopped.append((running.job, too_slow(self._limit_s)))
        return stopped

    def _until_limit(self, timeout_s: float) -> float:
        """How long to wait before looking for evaluations that hang."""
        if self._limit_s is None or not self._busy:
            return timeout_s
        first = min(each.since + self._limit_s * size_of(each.job) for each in self._busy.values())
        return min(timeout_s, max(0.05, first - time.monotonic()))

    def _feed(self) -> None:
        while self._idle and self._queue:
            member, job = self._idle.pop(0), self._queue.pop(0)
            reference = member.actor.outcome.remote(job)
            self._busy[reference] = _Running(member, job, time.monotonic())


_NAMED = {"CPU": "num_cpus", "GPU": "num_gpus", "memory": "memory"}
"""Resources that Ray takes by an argument of their own."""


def _why_lost(error: RayError) -> str:
    text = str(error)
    if isinstance(error, OutOfMemoryError) or "running low on memory" in text:
        return (
            "out of memory: Ray stopped it, for its node was running low; give every evaluation "
            "its share by launch.resources: {memory: BYTES}, or lower launch.workers"
        )
    return brief(error)


def local_gpus(per_trial: float) -> int:
    """GPUs that a Ray started here offers: those that torch sees, if evaluations take any."""
    if per_trial <= 0:
        return 0
    import torch

    return torch.cuda.device_count()
