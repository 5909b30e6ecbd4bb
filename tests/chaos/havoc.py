"""Havoc: runs a study on a cluster and kills workers, nodes, drivers and the database's server."""

from __future__ import annotations

import json
import math
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.made_up import hold_at, told_in
from tests.chaos.study import chaos_spec, trials_of, verdict
from tests.ray_cluster import RayCluster

_ROOT = Path(__file__).parents[2]


class Havoc:
    """A study of made-up evaluations that is disturbed until it is over.

    Args:
        cluster: Where it runs; nodes that are killed are replaced.
        url: Of the database.
        folder: For logs.
        trials: Of the study.
        seconds: Of one evaluation.
        seed: Of the moments and victims.
        hold: How many designs may be told after a mark before evaluations wait for what is to be
            killed there; None for no end: what comes too late may then find the study over.
        launch: Entries of `launch` in the study file.

    Attributes:
        kills: How many of each kind hit something.
    """

    def __init__(
        self,
        cluster: RayCluster,
        url: str,
        folder: Path,
        *,
        trials: int,
        seconds: float,
        seed: int,
        hold: int | None = None,
        **launch: Any,
    ) -> None:
        self._cluster = cluster
        self._url = url
        self._folder = folder
        self._trials = trials
        self._spec = chaos_spec(trials, **launch)
        spec = json.dumps(self._spec.model_dump(mode="json"))
        self._hold = hold
        make, settings = "MadeUp", json.dumps(seconds)
        if hold is not None:
            make, settings = "Held", json.dumps({"seconds": seconds, "folder": str(folder)})
        made = [f"tests.chaos.made_up:{make}", settings]
        self._arguments = [url, cluster.address, spec, *made]
        self._random = random.Random(seed)
        self._driver: subprocess.Popen[bytes] | None = None
        self._lives = 0
        self.result: dict[str, int] = {}
        self.kills = {"worker": 0, "node": 0, "driver": 0, "database": 0}

    def run(
        self,
        plan: Sequence[str],
        *,
        timeout_s: float,
        database: Callable[[], None] | None = None,
        log: Callable[[str], None] = lambda text: None,
    ) -> dict[str, int]:
        """Run to the end, with a disturbance whenever another share of the trials is done.

        Args:
            plan: What is killed, in this order.
            timeout_s: So long may it take.
            database: Takes the database's server away for a while.
            log: Told what happens.

        Returns:
            `kills`, and the verdict on the study.
        """
        deadline = time.monotonic() + timeout_s
        marks = sorted(self._random.uniform(0.02, 0.95) for _ in plan)
        todo = [(int(mark * self._trials), what) for mark, what in zip(marks, plan, strict=True)]
        try:
            self._let_go(todo)
            self._start()
            while True:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"not over after {timeout_s:g} s:\n{self.log()[-6000:]}")
                assert self._driver is not None
                if (code := self._driver.poll()) is not None:
                    if code != 0:
                        raise RuntimeError(f"the driver ended with {code}:\n{self.log()[-6000:]}")
                    break
                done = told_in(self._folder)
                if todo and done >= todo[0][0] and self._strike(todo[0][1], database):
                    log(f"{done} of {self._trials} told: killed a {todo[0][1]}")
                    todo.pop(0)
                    self._let_go(todo)
                time.sleep(self._random.uniform(0.05, 0.3))
        finally:
            self._kill_driver()
        found = verdict(self._spec, trials_of(self._url))
        return {"kills": sum(self.kills.values()), **found}

    def log(self) -> str:
        """What the drivers said."""
        files = sorted(self._folder.glob("driver-*.log"), key=lambda f: int(f.stem[7:]))
        return "".join(f"--- {file.stem}\n{file.read_text()}" for file in files)

    def _let_go(self, todo: Sequence[tuple[int, str]]) -> None:
        """Evaluations go on until the next mark, and some beyond it."""
        if self._hold is not None:
            hold_at(self._folder, todo[0][0] + self._hold if todo else math.inf)

    def _start(self) -> None:
        with (self._folder / f"driver-{self._lives}.log").open("wb") as output:
            self._driver = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", "tests.chaos.driver", *self._arguments],
                cwd=_ROOT,
                env={**self._cluster.environment, "DSE_HOME": str(self._folder / "home")},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._lives += 1

    def _strike(self, what: str, database: Callable[[], None] | None) -> bool:
        """Kill one; False if there was none to kill."""
        if what == "worker":
            workers = [w for node in self._cluster.nodes for w in node.workers()]
            busy = [w for w in workers if _is_alive(w)]
            if not busy:
                return False
            self._random.choice(busy).kill()
        elif what == "node":
            nodes = self._cluster.nodes[1:]
            if not nodes:
                return False
            victim = self._random.choice(nodes)
            victim.kill()
            self._cluster.nodes.remove(victim)
            self._cluster.add_node(wait=False)
        elif what == "driver":
            self._kill_driver()
            self._start()
        elif database is not None:
            if "told " not in (self._folder / f"driver-{self._lives - 1}.log").read_text():
                return False  # a driver that starts without a database says so and ends
            database()
        self.kills[what] += 1
        return True

    def _kill_driver(self) -> None:
        if self._driver is not None and self._driver.poll() is None:
            self._driver.send_signal(signal.SIGKILL)
            self._driver.wait(timeout=10)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
