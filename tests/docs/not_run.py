"""Commands of the documents that the tests do not run, and what they are rewritten to.

Whatever stands behind a prompt in a document and not in this table is run. That the program, its
subcommand and all of its options exist is tested for every command.
"""

from __future__ import annotations

_NETWORK = "installs packages; the tests run in what it made"
_MAIN = "the main job, minutes: tests/end_to_end/test_main_job.py"
_CLUSTER = "needs a Ray cluster: tests/end_to_end/test_ray.py has one"
_SERVER = "needs a PostgreSQL server: tests/dse/test_copying.py has one"
_SERVES = "serves until Ctrl-C: tests/dse/dashboard"
_LONG = "a benchmark, minutes to hours"

NOT_RUN: dict[str, str] = {
    "make setup": _NETWORK,
    "make run": _MAIN,
    ". .venv/bin/activate": "changes the shell",
    "dse submit studies/quickstart.yaml --address http://127.0.0.1:8265"
    " --storage sqlite:////srv/dse.db": _CLUSTER,
    "dse copy quickstart --to postgresql://me@head/studies": _SERVER,
    "dse serve": "serves until Ctrl-C: tests/dse/serving",
    "dse dashboard": _SERVES,
    "dse dashboard --port 8081 --storage sqlite:///other.db": _SERVES,
    "python benchmarks/engines.py --write docs/engines.md": _LONG,
}
"""Why, by command."""

SCRIPTS: dict[str, str] = {
    "docs/cluster.md": "needs machines, Ray or SLURM: tests/end_to_end/test_ray.py, tests/chaos",
    "docs/serve.md": "a server and requests to it: tests/dse/serving",
}
"""Documents with `bash` blocks, and why these are not run; their `dse` commands are read."""

NEVER = ("dashboard", "serve", "submit")
"""Subcommands that would not come back: listed, or an error."""

SMALLER = (
    "--set", "task.train_images=400", "--set", "task.test_images=200",
    "--set", "budget.epochs=1", "--set", "training.pretrain_epochs=1",
    "--launch", "serial", "--trials", "4",
)  # fmt: skip
"""Added to every `dse run` that is no dry run: a few designs of a network that has seen little."""

MORE = ("--launch", "serial", "--trials", "6")
"""Added to every `dse resume`."""

NARROWER = {
    "crossbar.wordlines": "[128]",
    "crossbar.bitlines": "[64,128]",
    "adc.bits": "4..8",
    "adc.per_array": "[1]",
    "cell.bits": "[2]",
}
"""What `dse sweep` tries of these knobs, whatever the command says: hundreds of designs."""

A_TRIAL = "0"
"""Stands for every number of a trial in a command or a call of `explain`: so small a study has not
the trials that a document talks about, but it has the given design."""
