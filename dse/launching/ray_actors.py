"""RayExecutor: persistent, warm Ray actors; the only room that imports Ray."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Sequence
from typing import Any

import ray
import torch
from ray.exceptions import RayError

from dse.errors import LaunchError
from dse.evaluation import Failure, Job, Outcome
from dse.launching.cpus import usable_cpus
from dse.pipeline.evaluate import Evaluator
from dse.pipeline.settings import EvaluationSettings

_REACH_S = 5.0
"""So long may a cluster take to answer."""

_ALONE_S = 120.0
"""So long without any worker, and the run gives up; the study can be resumed."""

_logger = logging.getLogger(__name__)


class _Worker:
    """Lives as long as the run and keeps data and networks in memory between designs."""

    def __init__(self, settings: EvaluationSettings) -> None:
        self._evaluator = Evaluator(settings)

    def ping(self) -> int:
        return os.getpid()

    def outcome(self, job: Job) -> Outcome:
        return self._evaluator.outcome(job.point, fidelity=job.fidelity, sweep=job.sweep)


class RayExecutor:
    """Evaluates designs on a local Ray or on a cluster.

    A worker takes designs once it has answered a ping. One that dies is replaced; its design
    comes back as a lost failure, and any idle worker may take it.

    Args:
        settings: What every worker needs to know.
        workers: Evaluations at the same time; None fills the machine or cluster.
        cpus_per_trial: CPUs of one evaluation.
        gpus_per_trial: GPUs of one evaluation; a local Ray offers those that torch sees.
        address: Of a cluster; None starts Ray here, on the loopback address only.

    Raises:
        LaunchError: Ray cannot be started or reached, or has no room for a worker.
    """

    def __init__(
        self,
        settings: EvaluationSettings,
        *,
        workers: int | None,
        cpus_per_trial: int,
        gpus_per_trial: float = 0.0,
        address: str | None,
    ) -> None:
        self._settings = settings
        self._cpus = cpus_per_trial
        self._gpus = gpus_per_trial
        self._address = address
        self._local_cpus = max(usable_cpus(), (workers or 1) * cpus_per_trial)
        _connect(address, cpus=self._local_cpus)
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        room = int(resources.get("CPU", 0)) // cpus_per_trial
        if gpus_per_trial > 0:
            room = min(room, int(resources.get("GPU", 0) / gpus_per_trial))
        if room < 1 or (workers or 1) > room:
            self.close()
            gpus = f" and {gpus_per_trial:g} GPUs" if gpus_per_trial > 0 else ""
            raise LaunchError(
                f"{workers or 1} workers of {cpus_per_trial} CPUs{gpus} do not fit: Ray has room "
                f"for {room}. Lower launch.workers, launch.cpus_per_trial or "
                "launch.gpus_per_trial, or add nodes"
            )
        self._size = workers or room
        self._starting: dict[Any, Any] = {}
        self._idle: list[Any] = []
        self._busy: dict[Any, tuple[Any, Job]] = {}
        self._queue: list[Job] = []
        self._alone_since: float | None = None
        for _ in range(self._size):
            self._start_worker()

    @property
    def workers(self) -> int:
        """Size of the pool."""
        return self._size

    def submit(self, job: Job) -> None:
        """Give the design to an idle worker, or keep it until there is one."""
        self._queue.append(job)
        self._feed()

    def wait(self, timeout_s: float) -> Sequence[tuple[Job, Outcome]]:
        """What is finished; workers that started or died are dealt with on the way."""
        self._check_alive()
        pending = [*self._starting, *self._busy]
        ready, _ = ray.wait(pending, num_returns=1, timeout=timeout_s)
        if ready:
            more, _ = ray.wait(pending, num_returns=len(pending), timeout=0)
            ready = more
        finished: list[tuple[Job, Outcome]] = []
        for reference in ready:
            if reference in self._starting:
                self._welcome(reference)
            else:
                finished.append(self._collect(reference))
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
        if self._address is None and not _any_node_lives():
            _logger.warning("the local Ray has died; starting another")
            self.close()
            _connect(None, cpus=self._local_cpus)
            self._starting.clear()
            for _ in range(self._size):
                self._start_worker()
        elif now - self._alone_since > _ALONE_S:
            raise LaunchError(
                f"no Ray worker could be started for {_ALONE_S:.0f} s; look at the nodes with "
                "`ray status`, then continue with `dse resume`"
            )

    def _start_worker(self) -> None:
        remote: Any = ray.remote(_Worker)
        worker = remote.options(
            num_cpus=self._cpus, num_gpus=self._gpus, max_restarts=0, max_task_retries=0
        ).remote(self._settings)
        self._starting[worker.ping.remote()] = worker

    def _welcome(self, reference: Any) -> None:
        worker = self._starting.pop(reference)
        try:
            pid = ray.get(reference)
        except RayError as error:
            if not self._idle and not self._busy and not self._starting:
                raise LaunchError(f"no Ray worker starts: {_brief(error)}") from error
            _logger.warning("a worker did not start: %s", _brief(error))
            return
        _logger.debug("worker %d joined", pid)
        self._idle.append(worker)

    def _collect(self, reference: Any) -> tuple[Job, Outcome]:
        worker, job = self._busy.pop(reference)
        try:
            outcome: Outcome = ray.get(reference)
        except RayError as error:
            _logger.warning("a worker was lost under trial %d; starting another", job.number)
            self._start_worker()
            return job, Failure(reason=f"worker lost: {_brief(error)}", lost=True)
        self._idle.append(worker)
        return job, outcome

    def _feed(self) -> None:
        while self._idle and self._queue:
            worker, job = self._idle.pop(0), self._queue.pop(0)
            self._busy[worker.outcome.remote(job)] = (worker, job)


def _any_node_lives() -> bool:
    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
    return any(node["Alive"] for node in nodes)


def _connect(address: str | None, *, cpus: int) -> None:
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address is not None:
            _probe(address)
            ray.init(address=address, **quiet)
            return
        ray.init(
            address="local",
            num_cpus=cpus,
            num_gpus=torch.cuda.device_count(),
            include_dashboard=False,
            **quiet,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError, TimeoutError) as error:
        where = f"the Ray cluster at {address}" if address else "a local Ray"
        raise LaunchError(f"cannot start or reach {where}: {_brief(error)}") from error


def _probe(address: str) -> None:
    """Ask whether anything answers there: Ray itself would wait for minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise LaunchError(
            f"launch.address is 'auto', HOST:PORT or ray://HOST:PORT, got {address!r}"
        )
    with socket.create_connection((host, int(port)), timeout=_REACH_S):
        pass


def _brief(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
