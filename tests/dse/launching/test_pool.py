"""The pool of Ray workers: grows, shrinks, replaces; with a Ray of this test's own."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from dse.errors import LaunchError
from dse.evaluation import Failure, Job
from dse.launching.back_off import BackOff
from dse.launching.ray_environment import prepare_ray

prepare_ray(local=False)

from dse.launching import ray_actors  # noqa: E402  (after its environment is set)


class FakeRay:
    """Actors that answer at once, die on demand, or never answer."""

    def __init__(self) -> None:
        self.room = 2
        self.now = 0.0
        self.started: list[dict[str, Any]] = []
        self.killed = 0
        self.dies = False
        self.hangs = False

    def remote(self, _cls: object) -> Any:
        return self

    def options(self, **options: Any) -> Any:
        self._options = options
        return SimpleNamespace(remote=self._start)

    def _start(self, *_: object) -> Any:
        self.started.append(self._options)
        return SimpleNamespace(
            ping=SimpleNamespace(remote=lambda: ("pong", len(self.started))),
            outcome=SimpleNamespace(remote=lambda job: ("outcome", job, object())),
        )

    def wait(self, references: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        ready = [r for r in references if r[0] == "pong" or not self.hangs]
        return ready, [r for r in references if r not in ready]

    def get(self, reference: Any) -> Any:
        if reference[0] == "pong":
            return 1
        if self.dies:
            raise ray_actors.RayError("The actor died.")
        return Failure(reason="as asked")

    def kill(self, _actor: object) -> None:
        self.killed += 1

    def shutdown(self) -> None: ...


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> FakeRay:
    fake = FakeRay()
    monkeypatch.setattr(ray_actors, "ray", fake)
    monkeypatch.setattr(ray_actors, "connect", lambda *_, **__: None)
    monkeypatch.setattr(ray_actors, "room_for", lambda _needs: fake.room)
    monkeypatch.setattr(ray_actors, "any_node_lives", lambda: True)
    monkeypatch.setattr(ray_actors.time, "monotonic", lambda: fake.now)
    monkeypatch.setattr(ray_actors.time, "sleep", lambda _: None)
    return fake


def pool(workers: int | None = None, **options: Any) -> Any:
    return ray_actors.RayExecutor(
        None, workers=workers, cpus_per_trial=2, address="127.0.0.1:1", **options
    )


def a_job(number: int) -> Job:
    return Job(number=number, point=None, attempt=1)  # type: ignore[arg-type]


def test_a_worker_takes_what_it_needs_of_its_node(ray: FakeRay) -> None:
    pool(1, gpus_per_trial=0.25, resources={"memory": 1e9, "license": 1})
    options = ray.started[0]
    assert (options["num_cpus"], options["num_gpus"], options["memory"]) == (2, 0.25, 1e9)
    assert options["resources"] == {"license": 1}


def test_more_than_fits_is_refused_with_what_is_needed(ray: FakeRay) -> None:
    with pytest.raises(
        LaunchError, match=r"3 workers of 2 CPU, 0\.5 GPU do not fit: Ray has room for 2\. Lower"
    ):
        pool(3, gpus_per_trial=0.5)


def test_the_pool_follows_nodes_that_come_and_go(ray: FakeRay) -> None:
    executor = pool()
    executor.wait(0)
    assert (executor.workers, len(ray.started)) == (2, 2)
    ray.room, ray.now = 5, 3.0
    executor.wait(0)
    assert (executor.workers, len(ray.started)) == (5, 5)
    ray.room, ray.now = 1, 6.0
    executor.wait(0)
    assert executor.workers == 1
    assert len(ray.started) == 5


def test_a_pool_of_a_given_size_does_not_grow(ray: FakeRay) -> None:
    executor = pool(2)
    ray.room, ray.now = 5, 3.0
    executor.wait(0)
    assert (executor.workers, len(ray.started)) == (2, 2)


def test_workers_that_die_before_they_were_of_use_are_replaced_ever_more_slowly(
    ray: FakeRay,
) -> None:
    executor = pool(1)
    executor._back_off = BackOff(clock=lambda: ray.now)
    executor.wait(0)
    ray.dies = True
    started = []
    for second in range(16):
        ray.now = float(second)
        executor.submit(a_job(second))
        executor.wait(0)
        executor.wait(0)
        started.append(len(ray.started))
    replaced_at = [s for s in range(1, 16) if started[s] > started[s - 1]]
    pauses = [b - a for a, b in itertools.pairwise(replaced_at)]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 4


def test_an_evaluation_that_hangs_is_stopped_with_its_worker(ray: FakeRay) -> None:
    executor = pool(1, trial_timeout_s=7.0)
    executor.wait(0)
    ray.hangs = True
    executor.submit(a_job(3))
    assert list(executor.wait(0)) == []
    ray.now = 7.5
    ((job, outcome),) = executor.wait(0)
    assert job.number == 3
    assert outcome == Failure(reason="took longer than launch.trial_timeout_s = 7 s; stopped")
    assert ray.killed == 1
    assert len(ray.started) == 2


def test_no_worker_for_two_minutes_ends_the_run(ray: FakeRay) -> None:
    executor = pool(1)
    executor._starting.clear()
    executor._back_off._until = 1e9
    executor.wait(0)
    ray.now = 121.0
    executor._alone_since = 0.5
    with pytest.raises(LaunchError, match="no Ray worker could be started for 120 s; look at"):
        executor.wait(0)
