"""A Ray cluster of several nodes on this machine, on the loopback address, with a token."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import psutil

from tests.ports import free_port

_ROOT = Path(__file__).parents[1]
_STARTS_WITHIN_S = 180.0
_TRIES = 3


class RayNode:
    """One node: a group of processes that dies at once.

    Attributes:
        process: Leader of the group.
    """

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def wait_until_started(self) -> None:
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while "Ray runtime started" not in self._log.read_text():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"a Ray node did not start:\n{self._log.read_text()}")
            time.sleep(0.1)

    def workers(self, title: str = "ray::_Worker") -> list[psutil.Process]:
        """Its processes that evaluate designs."""
        found = []
        for process in self._all():
            try:
                if title in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def kill(self) -> None:
        """As a power cut would: no process of it has time for a word."""
        victims = self._all()
        for victim in victims:
            try:
                victim.kill()
            except psutil.Error:
                continue
        psutil.wait_procs(victims, timeout=60)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(timeout=60)

    def _all(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.Error:
            return []


class RayCluster:
    """A head and further nodes, each with so many CPUs; use as a context manager.

    Args:
        cpus: Of every node, the head included.
        dashboard: Whether the head takes jobs.

    Attributes:
        nodes: The head first.
        environment: What a program needs to talk to it.
    """

    def __init__(self, *, cpus: int = 1, dashboard: bool = False) -> None:
        self._cpus = cpus
        self._dashboard = dashboard
        self._folder = Path(tempfile.mkdtemp(prefix="dse-ray-", dir="/tmp"))
        self._port, self._dashboard_port = free_port(), free_port()
        self.nodes: list[RayNode] = []
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("DSE_", "RAY_"))}
        self.environment = {
            **kept,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",  # else they starve beside other busy programs
            "RAY_health_check_period_ms": "500",
            "RAY_health_check_timeout_ms": "10000",
            "RAY_health_check_failure_threshold": "6",
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": str(_ROOT),
            "COLUMNS": "200",
            "PATH": f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
        }

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def jobs_url(self) -> str:
        return f"http://127.0.0.1:{self._dashboard_port}"

    def __enter__(self) -> RayCluster:
        try:
            self.add_node()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def add_node(self, *, wait: bool = True, resources: str = "{}") -> RayNode:
        """Start the head, or one more node; on a busy machine Ray may give up its first try."""
        node = self._start(resources)
        if not wait:
            return node
        for _ in range(_TRIES - 1):
            try:
                node.wait_until_started()
            except RuntimeError:
                node.kill()
                self.nodes.remove(node)
                if not self.nodes:
                    self._port, self._dashboard_port = free_port(), free_port()
                node = self._start(resources)
            else:
                return node
        node.wait_until_started()
        return node

    def _start(self, resources: str) -> RayNode:
        if self.nodes:
            where = ["--address", self.address]
        else:
            where = ["--head", "--port", str(self._port), "--temp-dir", str(self._folder)]
            where += ["--ray-client-server-port", str(free_port())]
            where += ["--include-dashboard", str(self._dashboard).lower()]
            where += ["--dashboard-host", "127.0.0.1"]
            where += ["--dashboard-port", str(self._dashboard_port)]
        log = self._folder / f"node-{len(self.nodes)}-{time.time_ns()}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    *(sys.executable, "-W", "ignore", str(_ROOT / "tests" / "ray_node.py")),
                    *("start", *where, "--node-ip-address", "127.0.0.1", "--block"),
                    *("--num-cpus", str(self._cpus), "--num-gpus", "0"),
                    *("--object-store-memory", str(80 * 2**20), "--resources", resources),
                    *("--dashboard-agent-listen-port", str(free_port())),
                ],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,
            )
        node = RayNode(process, log)
        self.nodes.append(node)
        return node

    def listening(self) -> set[str]:
        """Addresses on which its processes wait for connections."""
        found = set()
        for node in self.nodes:
            for process in node._all():
                try:
                    connections = process.net_connections("inet")
                except psutil.Error:
                    continue
                found |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
        return found

    def close(self) -> None:
        """End every process, whatever became of the test."""
        leaders = [node.process.pid for node in self.nodes]
        for node in reversed(self.nodes):
            node.kill()
        for leader in leaders:
            try:
                os.killpg(leader, signal.SIGKILL)
            except ProcessLookupError:
                continue
        shutil.rmtree(self._folder, ignore_errors=True)
