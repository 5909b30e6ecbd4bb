"""submit(): a study as a job of a Ray cluster."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import re
import shlex
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import ray
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from dse.errors import LaunchError
from dse.launching.packing import Package

PYTHON = (3, 11)
"""The oldest that runs our code."""
_RAY_FROM, _RAY_BELOW = (2, 60), (3,)
_STUDY, _STORAGE = "dse_study", "dse_storage"
_CHECKED_WITHIN_S = 120.0
_PROBE = """
import importlib.metadata as m, json, sys, ray
def has(name):
    try: m.version(name)
    except m.PackageNotFoundError: return False
    return True
print('dse-probe', json.dumps({'python': list(sys.version_info[:3]), 'ray': ray.__version__,
 'missing': [n for n in sys.argv[1].split(',') if not has(n)]}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What is run, and where its results go.

    Attributes:
        study: Name of the study.
        package: Its code.
        storage: Database URL as the driver shall open it; it may hold a password.
        shown: The same without the password.
        options: Of `dse run`.
        environment: Further variables of driver and workers.
        resources: What the driver takes on its node, by Ray's names; nothing puts it on the head.
        python: Command that is Python on that node.
    """

    study: str
    package: Package
    storage: str
    shown: str
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    python: str = "python"


class RayJobs:
    """The jobs of a cluster.

    Args:
        address: Of the head's dashboard, `http://HOST:8265`. A cluster with token authentication
            takes the token from `RAY_AUTH_TOKEN` or `RAY_AUTH_TOKEN_PATH`, where
            `RAY_AUTH_MODE=token`.

    Raises:
        LaunchError: Nothing answers there, or it wants another token.
    """

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LaunchError(f"--address is the head's http://HOST:8265, got {address!r}")
        self._address = address
        logging.getLogger("ray").setLevel(logging.WARNING)
        try:
            answer = requests.get(f"{address}/api/version", timeout=10)
            del answer  # with or without a token: something is there
            self._client = JobSubmissionClient(address)
        except AuthenticationError as error:
            raise LaunchError(
                f"{address} wants a token: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or "
                f"RAY_AUTH_TOKEN_PATH to that of the cluster ({_line(error)})"
            ) from error
        except (requests.RequestException, ConnectionError, RuntimeError, ValueError) as error:
            raise LaunchError(
                f"{address}: the cluster's head does not answer: {_line(error)}. Its dashboard "
                "must run (`ray start --head`), and the address be reachable from here"
            ) from error

    def check(self, python: str) -> None:
        """Find out whether the cluster can run our code: a job of a second.

        Args:
            python: Command that is Python on the cluster's head.

        Raises:
            LaunchError: It cannot; with the versions there and here.
        """
        job = self._client.submit_job(
            entrypoint=shlex.join([python, "-c", _PROBE, ",".join(_dependencies())]),
            submission_id=f"dse-check-{uuid.uuid4().hex[:8]}",
        )
        state = self._wait(job, _CHECKED_WITHIN_S)
        log = self._client.get_job_logs(job)
        match = re.search(r"^dse-probe (\{.*\})$", log, re.MULTILINE)
        if match is None:
            said = log.strip().splitlines()[-1:]
            why = said[0] if said else self._client.get_job_info(job).message
            raise LaunchError(
                f"{self._address}: the job that looks at the cluster ended {state}: {why}. "
                f"It runs {python!r}; if that is not the Python of Ray there, give it by --python"
            )
        self._client.delete_job(job)
        check_versions(json.loads(match[1]))

    def running(self, study: str, shown: str) -> str | None:
        """The job that runs a study already."""
        for job in self._client.list_jobs():
            about = job.metadata or {}
            if (about.get(_STUDY), about.get(_STORAGE)) == (study, shown) and (
                not job.status.is_terminal()
            ):
                return str(job.submission_id)
        return None

    def refuse_second(self, study: str, shown: str) -> None:
        """Make sure that no job of the cluster runs a study.

        Raises:
            LaunchError: One does.
        """
        if (job := self.running(study, shown)) is not None:
            raise LaunchError(
                f"study {study!r} is being run by job {job}; follow it with `dse status {study} "
                f"--follow`, or stop it with `dse cancel {study}`"
            )

    def submit(self, submission: Submission) -> str:
        """Send a study's code and start its driver.

        Returns:
            Id of the job.

        Raises:
            LaunchError: It is not taken.
        """
        command = [submission.python, "-m", "dse", "run", submission.package.study_file]
        resources = dict(submission.resources)
        try:
            return str(
                self._client.submit_job(
                    entrypoint=shlex.join([*command, *submission.options]),
                    submission_id=f"dse-{submission.study}-{uuid.uuid4().hex[:8]}",
                    runtime_env={
                        "working_dir": str(submission.package.folder),
                        "env_vars": {**submission.environment, "DSE_STORAGE": submission.storage},
                    },
                    metadata={_STUDY: submission.study, _STORAGE: submission.shown},
                    entrypoint_num_cpus=resources.pop("CPU", None),
                    entrypoint_num_gpus=resources.pop("GPU", None),
                    entrypoint_resources=resources or None,
                )
            )
        except (RuntimeError, ValueError, requests.RequestException) as error:
            raise LaunchError(f"{self._address} does not take the job: {_line(error)}") from error

    def wait(self, job: str) -> bool:
        """Wait for the end of a job.

        Returns:
            Whether it succeeded.
        """
        return self._wait(job, None) == "SUCCEEDED"

    def log(self, job: str) -> str:
        """What it has printed."""
        return str(self._client.get_job_logs(job))

    def _wait(self, job: str, timeout_s: float | None) -> str:
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            status = self._client.get_job_status(job)
            if status.is_terminal():
                return str(status)
            if deadline is not None and time.monotonic() > deadline:
                self._client.stop_job(job)
                raise LaunchError(
                    f"{self._address}: job {job} is {status} after {timeout_s:g} s; look at the "
                    "cluster with `ray status`"
                )
            time.sleep(0.25 if deadline is not None else 1.0)


def check_versions(found: Mapping[str, Any]) -> None:
    """Compare a cluster with what our code needs.

    Args:
        found: `python` and `ray` versions there, and names of packages that are `missing`.

    Raises:
        LaunchError: It cannot run there.
    """
    numbers = re.findall(r"\d+", found["ray"])[:2]
    major_minor = tuple(int(number) for number in numbers)
    python = tuple(found["python"][:2])
    if python < PYTHON or not _RAY_FROM <= major_minor < _RAY_BELOW:
        here = ".".join(map(str, _here()))
        raise LaunchError(
            f"the cluster runs Python {'.'.join(map(str, found['python']))} and Ray "
            f"{found['ray']}; needed are Python {PYTHON[0]}.{PYTHON[1]} or newer and Ray 2.60 or "
            f"newer below 3 (here: Python {here}, Ray {ray.__version__}). Change the image of the "
            "cluster"
        )
    if found["missing"]:
        raise LaunchError(
            "the cluster's Python lacks packages that dse needs; install them in its image: pip "
            f"install {' '.join(found['missing'])}"
        )


def _here() -> tuple[int, int, int]:
    return sys.version_info[:3]


def _dependencies() -> list[str]:
    """Distributions that we need, as our metadata names them."""
    lines = importlib.metadata.requires("dse") or []
    names = [re.split(r"[\[<>=!~; ]", line)[0] for line in lines if "extra ==" not in line]
    return [name for name in names if name]


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
