"""What every export to another simulator gives, and what a design must be for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dse.errors import SpecError
from hw_models.chip import Chip
from hw_models.layer import CodedLayer
from hw_models.sweep.adcs_per_array import AdcsPerArray

README = "README.md"


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerExport:
    """A design as another simulator's input.

    Attributes:
        simulator: Its name and version.
        files: Text by file name.
        usage: How the files are used there.
        cannot_hold: What its format has no place for, or counts in another way.
    """

    simulator: str
    files: Mapping[str, str]
    usage: str
    cannot_hold: tuple[str, ...]

    def write(self, folder: Path) -> tuple[Path, ...]:
        """Write the files and a README that says what was lost.

        Raises:
            SpecError: The folder cannot be written.
        """
        lost = "\n".join(f"* {each}" for each in self.cannot_hold)
        readme = (
            f"# For {self.simulator}\n\n{self.usage}\n\nWhat this export does not carry, or what "
            f"{self.simulator} counts in another way:\n\n{lost}\n"
        )
        written = []
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in {**self.files, README: readme}.items():
                (folder / name).write_text(text, encoding="utf-8")
                written.append(folder / name)
        except OSError as error:
            raise SpecError(
                f"--out {folder}: cannot be written ({error.strerror}); name a folder that can"
            ) from None
        return tuple(written)


def check_exportable(simulator: str, chip: Chip, layers: Sequence[CodedLayer]) -> None:
    """Refuse what no peer knows.

    Raises:
        SpecError: The engine, the encoding or a layer has no counterpart.
    """
    if chip.engine.name != "isaac":
        raise SpecError(
            f"{simulator} reads dense arrays, this design has engine {chip.engine.name!r}. Export "
            "a design of the isaac engine."
        )
    if chip.encoding.name != "differential":
        raise SpecError(
            f"{simulator} gets positive and negative arrays, this design has encoding "
            f"{chip.encoding.name!r}. Export a differential design."
        )
    if not layers:
        raise SpecError(f"{simulator} needs at least one layer, got none.")


def adcs_per_array(chip: Chip) -> int:
    """Converters of one array."""
    return chip.engine.count if isinstance(chip.engine, AdcsPerArray) else 1


def largest_adc_bits(chip: Chip) -> int:
    """The resolution of the best slice group, for formats with one for the whole chip."""
    return max(chip.adc_bits)


def one_resolution(chip: Chip) -> tuple[str, ...]:
    """The sentence about resolutions that a format with one for the whole chip owes."""
    if len(set(chip.adc_bits)) == 1:
        return ()
    bits = "/".join(map(str, chip.adc_bits))
    return (
        f"One ADC resolution per slice group ({bits}, most significant first): there is one for "
        f"the whole chip, set to the largest, {largest_adc_bits(chip)}, so ADC energy and "
        "accuracy are not those of this design.",
    )
