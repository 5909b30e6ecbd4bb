"""Studies on a cluster of three nodes, disturbed until some 200 processes were killed.

    python benchmarks/chaos.py --kills 200

Every round is a study of 200 short trials (made-up results, floats among the knobs) on three Ray
nodes of this machine, during which 20 workers, 3 nodes and 5 drivers are killed (kill -9) at
random moments; where the study lies in PostgreSQL, its server crashes once and is gone for ten
seconds. Rounds on SQLite and PostgreSQL take turns. Prints one JSON line last: `kills` in all, and
over all rounds the designs that were `lost`, `doubled`, `stuck`, or have a `wrong` result.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.chaos.havoc import Havoc
from tests.postgresql import PostgresqlServer, started
from tests.ray_cluster import RayCluster

PLAN = ["worker"] * 20 + ["node"] * 3 + ["driver"] * 5
GONE_S = 10.0
NODES = 3


def say(text: str) -> None:
    """Print with the time of day."""
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def round_on(
    cluster: RayCluster, server: PostgresqlServer | None, seed: int, options: argparse.Namespace
) -> Havoc:
    """One study; raises if it does not come to its end."""
    plan = [*PLAN, *(["database"] if server is not None else [])]
    random.Random(seed).shuffle(plan)

    def go_away() -> None:
        assert server is not None
        server.stop(signal.SIGQUIT)
        time.sleep(GONE_S)
        server.start()

    with tempfile.TemporaryDirectory() as name:
        for dead in [node for node in cluster.nodes if node.process.poll() is not None]:
            cluster.nodes.remove(dead)
        while len(cluster.nodes) < NODES:
            cluster.add_node()
        folder = Path(name)
        url = f"sqlite:///{folder / 'dse.db'}" if server is None else server.new_database()
        havoc = Havoc(
            cluster, url, folder, trials=options.trials, seconds=options.seconds, seed=seed
        )
        try:
            havoc.result = havoc.run(plan, timeout_s=options.timeout, database=go_away, log=say)
        except BaseException:
            print(havoc.log()[-20_000:], file=sys.stderr)
            raise
        return havoc


def main() -> None:
    """Rounds until enough was killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one evaluation")
    parser.add_argument("--timeout", type=float, default=1200.0, help="seconds of one round")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--database", choices=["sqlite", "postgresql", "both"], default="both")
    options = parser.parse_args()
    total = {"kills": 0, "lost": 0, "doubled": 0, "stuck": 0, "wrong": 0}
    kinds = {"sqlite": [0], "postgresql": [1], "both": [0, 1]}[options.database]
    with contextlib.ExitStack() as stack:
        server = None
        if 1 in kinds:
            servers = started(durable=True)
            stack.callback(servers.close)
            server = next(servers)
        cluster = stack.enter_context(RayCluster())
        number = 0
        while total["kills"] < options.kills:
            kind = kinds[number % len(kinds)]
            began = time.monotonic()
            havoc = round_on(cluster, server if kind else None, options.seed + number, options)
            number += 1
            for key, value in havoc.result.items():
                total[key] += value
            say(
                f"round {number} ({'PostgreSQL' if kind else 'SQLite'}): {havoc.kills}, "
                f"{havoc.result}, {time.monotonic() - began:.0f} s"
            )
    print(json.dumps(total))


if __name__ == "__main__":
    main()
