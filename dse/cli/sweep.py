"""dse sweep: every hardware choice for the compressed network of one trial."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from dse.cli.console import make_console
from dse.cli.options import STORAGE_DEFAULT, StorageOption, TextFormat, existing_database
from dse.cli.study_files import read_study_file
from dse.errors import SpecError
from dse.resuming import load_spec
from hw_models.sweep.sweep import MOST_DESIGNS, OBJECTIVES, sweep

_ROWS = 20


def sweep_command(
    study: Annotated[
        str, typer.Argument(metavar="STUDY.yaml", help="Study file, or the name of the study.")
    ],
    network: Annotated[
        str,
        typer.Argument(
            metavar="TRIAL|CHECKPOINT", help="Number of a trial, or a .safetensors file."
        ),
    ],
    space: Annotated[
        list[str] | None,
        typer.Option("--space", metavar="PATH=DOMAIN", help="What is tried of one knob."),
    ] = None,
    objectives: Annotated[
        str, typer.Option("--objectives", metavar="A,B", help="Costs that the front trades.")
    ] = ",".join(OBJECTIVES),
    most: Annotated[
        int, typer.Option("--max-designs", min=1, help="Refuse more designs than this.")
    ] = MOST_DESIGNS,
    format_: Annotated[TextFormat, typer.Option("--format", help="How to print.")] = (
        TextFormat.TABLE
    ),
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Price every hardware choice for one compressed network; print the exact Pareto front.

    The network is that of a trial, or a checkpoint: integer codes, or real weights of the study's
    network, which are quantised without training.

    Knobs: crossbar.wordlines, crossbar.bitlines, crossbar.ou_wordlines, cell.bits, encoding,
    dac.bits, adc.model, adc.bits (or adc.bits.slice0 ...), adc.per_array. Accuracy is not
    simulated: `bits missing` says by how much the ADCs fall short of never clipping; lossless
    designs have the ideal accuracy.

    Example: dse sweep studies/quickstart.yaml 3 --space crossbar.wordlines=[64,128]
    """
    from dse.reporting.sweep import sweep_json, sweep_table
    from dse.sweeping import checkpoint_network, hardware_spaces, trial_network

    in_file = study.endswith((".yaml", ".yml"))
    if network.isdecimal():
        database = existing_database(storage)
        name = read_study_file(Path(study)).name if in_file else study
        spec = load_spec(database, name)
        swept = trial_network(spec, database, int(network))
    else:
        if not in_file:
            raise SpecError(
                f"a checkpoint is swept under a study file, got study {study!r} and {network!r}; "
                "name the file, or the number of a trial"
            )
        spec = read_study_file(Path(study))
        swept = checkpoint_network(spec, Path(network))
    spaces = hardware_spaces(swept.point, space or ())
    console = make_console()
    if not swept.cached and format_ == TextFormat.TABLE:
        console.print("The codes were not in the stage store; they were made again.")
    began = time.perf_counter()
    results = {
        model: sweep(
            swept.layers,
            each,
            objectives=objectives.split(","),
            most_designs=most,
            observed=swept.observed,
        )
        for model, each in spaces.items()
    }
    seconds = time.perf_counter() - began
    if format_ == TextFormat.JSON:
        typer.echo(json.dumps(sweep_json(spec.name, network, results, seconds), indent=2))
        return
    for model, result in results.items():
        console.print(sweep_table(model, result, most=_ROWS))
    n_designs = sum(result.n_designs for result in results.values())
    console.print(f"{n_designs} designs in {seconds:.2f} s.")
