"""RunMetrics: a run's numbers for Prometheus, on the loopback address only."""

from __future__ import annotations

from types import TracebackType

from dse.errors import LaunchError
from dse.evaluation import Evaluation, Failure, Job, Outcome
from dse.study import Study

_LOOPBACK = "127.0.0.1"
_BUCKETS_S = (0.001, 0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 1800.0, 7200.0)


class RunMetrics:
    """Serves counts, seconds and best values of a run at http://127.0.0.1:PORT/metrics.

    Args:
        study: Being run.
        port: 0 takes a free one.

    Attributes:
        port: Where it listens.

    Raises:
        LaunchError: The port is taken, or `prometheus_client` is not installed.
    """

    def __init__(self, study: Study, port: int) -> None:
        try:
            from prometheus_client import (
                CollectorRegistry,
                Counter,
                Gauge,
                Histogram,
                start_http_server,
            )
        except ImportError:
            raise LaunchError(
                "--metrics-port needs prometheus_client: pip install 'dse[metrics]'"
            ) from None
        self._study = study
        registry = CollectorRegistry()
        name = {"study": study.spec.name}
        self._told = Counter(
            "dse_trials", "Designs told, by outcome.", ["study", "outcome"], registry=registry
        )
        self._done = Gauge(
            "dse_designs_done", "Designs that completed or failed for good.", ["study"],
            registry=registry,
        ).labels(**name)  # fmt: skip
        self._waiting = Gauge(
            "dse_designs_waiting", "Designs that wait for a worker.", ["study"], registry=registry
        ).labels(**name)
        self._seconds = Histogram(
            "dse_trial_seconds", "Wall time of an evaluation.", ["study"], registry=registry,
            buckets=_BUCKETS_S,
        ).labels(**name)  # fmt: skip
        self._best = Gauge(
            "dse_best", "Best feasible value of this run.", ["study", "objective"],
            registry=registry,
        )  # fmt: skip
        budget = Gauge("dse_designs_budget", "Designs in all.", ["study"], registry=registry)
        budget.labels(**name).set(study.spec.budget.trials)
        self._bests: dict[str, float] = {}
        try:
            self._server, self._thread = start_http_server(port, addr=_LOOPBACK, registry=registry)
        except OSError as error:
            raise LaunchError(
                f"--metrics-port {port}: cannot be listened at ({error.strerror}); give another"
            ) from None
        self.port: int = self._server.server_address[1]
        self(None, None)

    def __enter__(self) -> RunMetrics:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __call__(self, job: Job | None, outcome: Outcome | None) -> None:
        """Take note of an outcome, or of the passing of time."""
        name = self._study.spec.name
        if isinstance(outcome, Evaluation):
            self._told.labels(study=name, outcome="evaluated").inc()
            self._seconds.observe(outcome.seconds)
            self._note(outcome)
        elif isinstance(outcome, Failure):
            self._told.labels(study=name, outcome="lost" if outcome.lost else "failed").inc()
        elif outcome is not None:
            self._told.labels(study=name, outcome="ruled_out").inc()
        self._done.set(self._study.n_done)
        self._waiting.set(max(0, self._study.n_waiting))

    def _note(self, outcome: Evaluation) -> None:
        try:
            if any(c.violation(outcome.metrics) > 0 for c in self._study.constraints):
                return
            values = {o: o.metric.of(outcome.metrics) for o in self._study.objectives}
        except KeyError:  # the trial fails for it
            return
        for objective, value in values.items():
            better = max if objective.direction == "maximize" else min
            best = better(self._bests.get(objective.name, value), value)
            self._bests[objective.name] = best
            self._best.labels(study=self._study.spec.name, objective=objective.name).set(best)
