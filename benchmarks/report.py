"""The report of a study of 100 000 trials: how long it takes, how large it is, when it is drawn.

The study is made first (see `large_study.py`), its database left alone from then on; every design
of its front gets a report of costs as large as that of a ResNet-20. Progress goes to standard
error; the last line is JSON:

    report_seconds        wall clock of `dse report`, start and imports included; and CPU seconds
    report_peak_mib       its memory
    file_mb, library_mb   the file without the plotting library, and the library; 1e6 bytes
    first_front_seconds   from the navigation to the first front drawn, in headless Chromium: the
                          median of fresh browsers; `first_front_rounds` has all of them
    filter_seconds        from a word in the table's filter to front and table that follow
    console_errors        errors on the page's console, and exceptions nobody caught
    drawn                 designs that are drawn, of how many

    python benchmarks/report.py [--trials 100000] [--rounds 5] [--url sqlite:///large.db]
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import argparse  # noqa: E402
import json  # noqa: E402
import shutil  # noqa: E402
import statistics  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import uuid  # noqa: E402
import warnings  # noqa: E402
from io import BytesIO  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

NAME = "large"
_MAIN = "from dse.cli.app import main; main()"
_COMPONENTS = (
    "adc", "dac", "array", "sample_hold", "shift_add", "input_register", "output_register",
    "edram", "bus", "router", "tile_shift_add", "scale_bias", "activation", "pooling",
    "tile_output_register",
)  # fmt: skip
_LAYERS = 22


def main() -> None:
    """Make the study unless it is given, measure, print."""
    arguments = _arguments()
    if arguments.make:
        _make(arguments.url, arguments.trials)
        return
    with tempfile.TemporaryDirectory() as folder:
        url = arguments.url
        if url is None:
            url = f"sqlite:///{Path(folder) / 'dse.db'}"
            # In a process of its own: what it holds would count as this one's children's memory.
            made = [sys.executable, __file__, "--make", "--url", url]
            subprocess.run([*made, "--trials", str(arguments.trials)], check=True)
        file = arguments.out or Path(folder) / "report.html"
        measured = {"trials": arguments.trials, **_report(url, file)}
        measured |= _drawn(file, arguments.rounds)
    print(json.dumps(measured))


def _make(url: str, trials: int) -> None:
    """The study, and the reports of the designs on its front."""
    from large_study import make_study

    from dse.database import open_database
    from dse.front_view import view_front
    from dse.reading.source import open_source
    from dse.trial_reports import artifact_store

    warnings.simplefilter("ignore")
    began = time.monotonic()
    make_study(url, trials)
    with open_source(url) as source:
        front = [trial.number for trial in view_front(source, NAME).front.trials]
    database = open_database(url, write=True)
    store = artifact_store(database)
    for number in front:
        store.write(str(uuid.UUID(int=number)), BytesIO(json.dumps(_costs(number)).encode()))
    database.storage.engine.dispose()
    _say(f"made {trials} trials, {len(front)} on the front, in {time.monotonic() - began:.0f} s")


def _costs(number: int) -> dict[str, Any]:
    """A made-up report of costs, of the size of a real one."""
    scale = 1.0 + number / 7e5
    energy = {name: scale * 1.2345678e-9 / (at + 1) for at, name in enumerate(_COMPONENTS)}
    layer = {
        "k": 576,
        "n": 64,
        "v": 64,
        "groups": 1,
        "crossbars": 40,
        "energy_j": energy,
        "latency_s": 1.23456e-5 * scale,
        "adc_bits": {"used": [3, 4, 5, 5], "lossless": [6, 7, 7, 7]},
        "nonzero_slice_ratio": [0.0123456, 0.123456, 0.234567, 0.345678],
    }
    return {
        "layers": [{"name": f"layer{at // 6}.{at % 6}.conv", **layer} for at in range(_LAYERS)],
        "components": {
            name: {"energy_j": _LAYERS * value, "area_m2": 1e-7 * scale}
            for name, value in energy.items()
        },
        "nonzero_slice_ratios": [0.0123456, 0.123456, 0.234567, 0.345678],
    }


def _report(url: str, file: Path) -> dict[str, Any]:
    """`dse report` in a process of its own, and what it wrote."""
    from dse.reporting import front_end

    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, "report", NAME, "--out", str(file), "--storage", url],
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    if process.returncode:
        raise SystemExit(f"dse report ended with exit code {process.returncode}")
    library = len(front_end.plotly().encode())
    found = {
        "report_seconds": round(seconds, 2),
        "report_cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "report_peak_mib": used.ru_maxrss // 1024,
        "file_mb": round((file.stat().st_size - library) / 1e6, 3),
        "library_mb": round(library / 1e6, 3),
    }
    _say(", ".join(f"{name} {value}" for name, value in found.items()))
    return found


def _drawn(file: Path, rounds: int) -> dict[str, Any]:
    """What a headless Chromium makes of the file, in a fresh browser each time."""
    first, filtered, errors = [], [], []
    told = ""
    for _ in range(rounds):
        seconds, follow, wrong, told = _open(file)
        first.append(seconds)
        filtered.append(follow)
        errors += wrong
        _say(f"first front after {seconds:.2f} s, filtered in {follow:.2f} s")
    for error in errors:
        _say(f"console: {error}")
    return {
        "first_front_seconds": round(statistics.median(first), 3),
        "first_front_rounds": [round(each, 3) for each in first],
        "filter_seconds": round(statistics.median(filtered), 3),
        "console_errors": len(errors),
        "drawn": told,
    }


def _open(file: Path) -> tuple[float, float, list[str], str]:
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    with sync_playwright() as playwright:
        found = os.environ.get("DSE_CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(file.resolve().as_uri())
        page.wait_for_selector("#views[data-first-front]", timeout=120_000)
        first = float(page.get_attribute("#views", "data-first-front") or "nan") / 1e3
        page.wait_for_selector("[data-view=table] tbody tr")
        count = page.locator("[data-role=selected]")
        told = count.inner_text()
        began = time.monotonic()
        page.get_by_role("searchbox").fill("regularizer=none")
        page.wait_for_function("() => document.querySelector('[data-role=front]').data.some("
                               "(trace) => trace.selectedpoints)")  # fmt: skip
        follow = time.monotonic() - began
        if count.inner_text() == told:
            errors.append("the filter changed nothing")
        browser.close()
    return first, follow, errors, told


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--trials", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--url", help="a database that holds the study, made by --make")
    parser.add_argument("--make", action="store_true", help="only make the study, at --url")
    parser.add_argument("--out", type=Path, help="keep the report here")
    return parser.parse_args()


if __name__ == "__main__":
    main()
