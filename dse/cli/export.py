"""dse export: one design in files of its own, or in the format of another simulator."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dse.cli.console import make_console
from dse.cli.options import STORAGE_DEFAULT, NameArgument, StorageOption, existing_database


class Peer(StrEnum):
    """Simulators that a design can be written for."""

    ACCELFORGE = "accelforge"
    MNSIM = "mnsim"
    NEUROSIM = "neurosim"


def export(
    name: NameArgument,
    trial: Annotated[int, typer.Argument(min=0, metavar="TRIAL", help="Number of the trial.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")],
    peer: Annotated[
        Peer | None, typer.Option("--for", help="Write another simulator's input instead.")
    ] = None,
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Write a design into a folder: codes and weights, design.yaml, mapping.json.

    `dse score DIR` evaluates it again. With --for the folder holds another simulator's input, to
    cross-check the costs; a README beside says what that format cannot hold.

    Example: dse export quickstart 3 --out quickstart-3
    """
    from dse.exporting.accelforge import accelforge
    from dse.exporting.design import export_design
    from dse.exporting.mnsim import mnsim
    from dse.exporting.neurosim import neurosim
    from dse.pipeline.hardware import chip_of
    from dse.resuming import load_spec
    from dse.sweeping import trial_network

    writers = {Peer.ACCELFORGE: accelforge, Peer.MNSIM: mnsim, Peer.NEUROSIM: neurosim}
    database = existing_database(storage)
    spec = load_spec(database, name)
    console = make_console()
    if peer is None:
        for file in export_design(spec, database, trial, out):
            console.print(str(file))
        console.print(f"Evaluate it again: dse score {out}")
        return
    network = trial_network(spec, database, trial)
    exported = writers[peer](chip_of(network.point), network.layers)
    for file in exported.write(out):
        console.print(str(file))
    for lost in exported.cannot_hold:
        console.print(f"not carried: {lost}")
