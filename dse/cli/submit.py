"""dse submit: run a study as a job of a Ray cluster."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import Annotated

import sqlalchemy
import typer
from rich.console import Console
from sqlalchemy.exc import ArgumentError

from dse.cli.console import make_console
from dse.cli.options import (
    STORAGE_DEFAULT,
    StorageOption,
    TimeoutOption,
    TrialsOption,
    WorkersOption,
)
from dse.cli.overrides import Overrides, override
from dse.cli.study_files import read_study_file
from dse.errors import LaunchError, SpecError, StorageError
from dse.spec_yaml import read_yaml

_SHOWN = 5


def submit(
    study_file: Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="Study file.")],
    address: Annotated[
        str,
        typer.Option(
            "--address", metavar="URL", help="Of the head's dashboard: http://HOST:8265."
        ),
    ],
    working_dir: Annotated[
        Path | None,
        typer.Option("--working-dir", metavar="DIR", help="Your own code."),
    ] = None,
    home: Annotated[
        str | None,
        typer.Option(
            "--home", metavar="DIR", help="Folder on the cluster for reports and stage results."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="DIR", help="Folder on the cluster that holds data sets."),
    ] = None,
    driver_resource: Annotated[
        list[str] | None,
        typer.Option(
            "--driver-resource",
            metavar="NAME=AMOUNT",
            help="What the driver takes on its node; left out, it sits on the head.",
        ),
    ] = None,
    python: Annotated[
        str, typer.Option("--python", metavar="PATH", help="The cluster's Python.")
    ] = "python",
    trials: TrialsOption = None,
    timeout: TimeoutOption = None,
    workers: WorkersOption = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change an entry of the study file."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Return once the job has ended; 1 if it failed.")
    ] = False,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Run a study on a Ray cluster; the same once more continues it.

    Example: dse submit studies/quickstart.yaml --address http://head:8265 --storage
    sqlite:////srv/dse/dse.db
    """
    console = make_console(wrap=False)
    spec = override(
        read_study_file(study_file, set_ or ()), Overrides(trials=trials, workers=workers)
    )
    shown = _check_storage(storage, home)
    _check_places(study_file)
    resources = _resources(driver_resource or ())
    from dse.launching.ray_environment import prepare_ray

    prepare_ray(local=False)
    from dse.launching.packing import pack
    from dse.launching.submit import RayJobs, Submission

    jobs = RayJobs(address)
    jobs.refuse_second(spec.name, shown)
    jobs.check(python)
    launcher = "ray" if spec.launch.name == "serial" else spec.launch.name
    options = ["--launch", launcher, "--address", "auto"]
    for flag, value in (("--trials", trials), ("--timeout", timeout), ("--workers", workers)):
        options += [] if value is None else [flag, str(value)]
    options += [word for text in set_ or () for word in ("--set", text)]
    environment = {"DSE_HOME": home, "DSE_DATA": data}
    with tempfile.TemporaryDirectory() as folder:
        package = pack(
            study_file,
            working_dir or study_file.resolve().parent,
            Path(folder),
            with_data=data is None and spec.task.data_folder is None,
        )
        _tell_left_out(console, package.left_out)
        job = jobs.submit(
            Submission(
                study=spec.name,
                package=package,
                storage=storage,
                shown=shown,
                options=tuple(options),
                environment={key: value for key, value in environment.items() if value},
                resources=resources,
                python=python,
            )
        )
    again = f"dse submit {shlex.quote(str(study_file))} --address {address} --storage {shown}"
    console.print(f"Job: {job}")
    console.print(f"Follow: dse status {spec.name} --follow --storage {shown}")
    console.print(f"Log: ray job logs --address {address} --follow {job}")
    console.print(f"Stop: dse cancel {spec.name} --storage {shown}")
    console.print(f"Resume: {again}")
    if wait and not jobs.wait(job):
        console.print(jobs.log(job)[-4000:])
        console.print(f"Job {job} failed.")
        raise typer.Exit(1)


def _check_storage(url: str, home: str | None) -> str:
    """The URL without its password.

    Raises:
        StorageError: The driver of a cluster could not use it.
    """
    try:
        parsed = sqlalchemy.engine.make_url(url)
    except ArgumentError:
        raise StorageError(f"a database is given as a URL, got {url!r}") from None
    shown = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_absolute():
        raise StorageError(
            f"{shown} is a relative path: on the cluster it would lie in a folder that is thrown "
            "away with the job. Give a file on the head's own disk, sqlite:////srv/dse/dse.db "
            "(four slashes; it is read from there only), or a server, "
            "postgresql://USER@HOST/DATABASE, by --storage or DSE_STORAGE"
        )
    if parsed.get_backend_name() != "sqlite" and home is None:
        raise StorageError(
            f"{shown}: reports and stage results lie beside the database or in a folder of their "
            "own; give one that the head keeps, by --home DIR"
        )
    return shown


def _check_places(study_file: Path) -> None:
    """Data and checkpoints are not sent: they must lie where every node finds them.

    Raises:
        SpecError: The study file names them by a relative path.
    """
    task = read_yaml(study_file).get("task")
    if not isinstance(task, dict):
        return
    for entry in ("checkpoint", "data_folder"):
        if task.get(entry) is not None and not Path(task[entry]).is_absolute():
            raise SpecError(
                f"{study_file.name}: task.{entry}: {task[entry]} is a relative path, and neither "
                "data nor checkpoints are sent; give the absolute path at which the nodes of the "
                "cluster find it"
            )


def _resources(texts: tuple[str, ...] | list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for text in texts:
        name, equals, amount = text.partition("=")
        try:
            found[name] = float(amount)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise LaunchError(f"--driver-resource is NAME=AMOUNT such as CPU=1, got {text!r}")
    return found


def _tell_left_out(console: Console, names: tuple[str, ...]) -> None:
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        console.print(f"Not sent (data, checkpoints): {', '.join(names[:_SHOWN])}{more}")
