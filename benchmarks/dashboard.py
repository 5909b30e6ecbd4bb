"""How long a dashboard's page waits for a large study: ours, and optuna-dashboard by itself.

    python benchmarks/dashboard.py [--trials 10000] [--alone]

A page asks for a study when it opens, and every ten seconds after that what is new. The study has
three objectives and a constraint (see `large_study.py`). Seconds are of CPU. With --alone also
those of optuna-dashboard by itself, half a minute at 10 000 trials. The last line is JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from large_study import make_study
from optuna_dashboard import wsgi

from dse.dashboard.app import DashboardApp
from dse.database import open_database


def main() -> None:
    """Make the study, ask for it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--alone", action="store_true", help="measure optuna-dashboard, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'dse.db'}"
        make_study(url, arguments.trials)
        print(f"{arguments.trials} trials made", file=sys.stderr)
        app = DashboardApp(open_database(url, write=False))
        first, body = _asked(app, after=0)
        page = json.loads(body)
        poll, _ = _asked(app, after=len(page["trials"]))
        found: dict[str, Any] = {
            "benchmark": "dashboard",
            "trials": arguments.trials,
            "shown": len(page["trials"]),
            "best_trials": len(page["best_trials"]),
            "megabytes": round(len(body) / 1e6, 1),
            "first_seconds": round(first, 2),
            "poll_seconds": round(poll, 3),
        }
        if arguments.alone:
            plain = wsgi(optuna.storages.get_storage(url))
            first, _ = _asked(plain, after=0)
            print(f"optuna-dashboard, first answer: {first:.1f} s", file=sys.stderr)
            _wait_for_its_cache()
            poll, _ = _asked(plain, after=arguments.trials)
            found |= {
                "alone_first_seconds": round(first, 2),
                "alone_poll_seconds": round(poll, 2),
            }
    print(json.dumps(found))


def _asked(app: Callable[..., Any], after: int) -> tuple[float, bytes]:
    """Seconds of CPU, and the answer."""
    environ = {
        "REQUEST_METHOD": "GET", "PATH_INFO": "/api/studies/1", "QUERY_STRING": f"after={after}",
        "SERVER_NAME": "localhost", "SERVER_PORT": "80", "HTTP_HOST": "localhost",
        "wsgi.url_scheme": "http", "wsgi.input": io.BytesIO(), "wsgi.errors": sys.stderr,
    }  # fmt: skip
    began = time.process_time()
    body = b"".join(app(environ, lambda *_: None))
    return time.process_time() - began, body


def _wait_for_its_cache() -> None:
    """optuna-dashboard reads trials again after ten seconds, which is when a page polls."""
    time.sleep(10.5)


if __name__ == "__main__":
    main()
