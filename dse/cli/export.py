"""dse export: one design in the format of another simulator."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dse.cli.console import make_console
from dse.cli.options import STORAGE_DEFAULT, NameArgument, StorageOption, existing_database
from dse.resuming import load_spec


class Peer(StrEnum):
    """Simulators that a design can be written for."""

    ACCELFORGE = "accelforge"
    MNSIM = "mnsim"
    NEUROSIM = "neurosim"


def export(
    name: NameArgument,
    trial: Annotated[int, typer.Argument(min=0, metavar="TRIAL", help="Number of the trial.")],
    peer: Annotated[Peer, typer.Option("--for", help="The simulator.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the files.")],
    storage: StorageOption = STORAGE_DEFAULT,
) -> None:
    """Write the hardware of a design as another simulator's input, to cross-check its costs.

    A README beside the files says what that simulator's format cannot hold.

    Example: dse export quickstart 3 --for mnsim --out quickstart-3-mnsim
    """
    from dse.exporting.accelforge import accelforge
    from dse.exporting.mnsim import mnsim
    from dse.exporting.neurosim import neurosim
    from dse.pipeline.hardware import chip_of
    from dse.sweeping import trial_network

    writers = {Peer.ACCELFORGE: accelforge, Peer.MNSIM: mnsim, Peer.NEUROSIM: neurosim}
    database = existing_database(storage)
    spec = load_spec(database, name)
    network = trial_network(spec, database, trial)
    exported = writers[peer](chip_of(network.point), network.layers)
    console = make_console()
    for file in exported.write(out):
        console.print(str(file))
    for lost in exported.cannot_hold:
        console.print(f"not carried: {lost}")
