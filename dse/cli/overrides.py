"""Command-line options that replace entries of a study's spec."""

from __future__ import annotations

from dataclasses import dataclass

from dse.spec import StudySpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Options that replace entries of the spec; None leaves them."""

    trials: int | None = None
    launch: str | None = None
    address: str | None = None
    workers: int | None = None
    join: bool | None = None


def override(spec: StudySpec, wanted: Overrides) -> StudySpec:
    """The spec with the options applied.

    Raises:
        SpecError: An option says what cannot hold.
    """
    data = spec.model_dump(mode="json")
    for section, field, value in (
        ("budget", "trials", wanted.trials),
        ("launch", "name", wanted.launch),
        ("launch", "address", wanted.address),
        ("launch", "workers", wanted.workers),
        ("launch", "join", wanted.join),
    ):
        if value is not None:
            data[section][field] = value
    return StudySpec.from_mapping(data, where=f"study {spec.name}")
