"""dse sweep on the trials of a study of seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from dse.cli.app import app
from dse.errors import SpecError, StudyError
from hw_models.errors import HardwareError
from tests.end_to_end.commands import dse_here, write_study

ONE_DESIGN = ("crossbar.wordlines=128", "crossbar.bitlines=128", "adc.bits=8", "adc.per_array=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trials; the first one has no regulariser and 8-bit ADCs."""
    home = tmp_path_factory.mktemp("sweep")
    done = dse_here(home, "run", str(write_study(home)), "--trials", "2")
    assert done.exit_code == 0, done.output
    return home


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DSE_STORAGE", raising=False)
    monkeypatch.delenv("DSE_HOME", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return folder


def swept(
    *spaces: str, trial: int = 0, study: str = "tiny.yaml", more: tuple[str, ...] = ()
) -> Any:
    options = [option for space in spaces for option in ("--space", space)]
    result = CliRunner().invoke(app, ["sweep", study, str(trial), *options, *more])
    if result.exception is not None:
        raise result.exception
    return result.stdout


def swept_json(*spaces: str, **options: Any) -> Any:
    return json.loads(swept(*spaces, more=("--format", "json"), **options))


def test_the_hardware_of_the_trial_costs_what_the_trial_says(here: Path) -> None:
    explained = json.loads(dse_here(here, "explain", "tiny", "0", "--format", "json").stdout)
    found = swept_json(*ONE_DESIGN)
    assert found["n_designs"] == 1
    (design,) = found["sweeps"][0]["front"]
    for name in ("energy_uj", "latency_us", "area_mm2", "crossbars", "adc_conversions"):
        assert design["costs"][name] == pytest.approx(explained["metrics"][name], rel=1e-12)
    assert design["params"]["crossbar.wordlines"] == 128
    assert [design["params"][f"adc.bits.slice{s}"] for s in range(4)] == [8] * 4
    assert design["lossless"]
    assert found["sweeps"][0]["lossless_front"] == [design]


def test_without_a_space_every_array_size_is_tried(here: Path) -> None:
    found = swept_json(study="tiny")
    (sweep,) = found["sweeps"]
    assert found["study"] == "tiny"
    assert sweep["adc.model"] == "saberi"
    assert sweep["n_designs"] > 25 * 4 * 100
    assert sweep["n_lossless"] == 25 * 4
    assert {d["lossless"] for d in sweep["front"]} == {True, False}
    assert all(d["lossless"] for d in sweep["lossless_front"])
    energies = [d["costs"]["energy_uj"] for d in sweep["front"]]
    assert energies == sorted(energies)


def test_the_table_names_the_converter_model_and_the_designs_that_never_clip(here: Path) -> None:
    text = swept("cell.bits=[2,4]", "crossbar.wordlines=[64,128]", "crossbar.bitlines=64..128")
    assert "saberi ADCs" in text
    assert "32 designs never clip" in text


def test_operation_units_encodings_and_dacs_are_knobs_of_a_sweep(here: Path) -> None:
    found = swept_json(
        *ONE_DESIGN, "crossbar.ou_wordlines=[16,64]", "encoding=[offset]", "dac.bits=[1,2]"
    )
    assert found["n_designs"] == 4
    for design in found["sweeps"][0]["front"]:
        assert design["params"]["encoding"] == "offset"
        assert design["params"]["crossbar.ou_wordlines"] in (16, 64)
    text = swept(*ONE_DESIGN, "crossbar.ou_wordlines=16", "dac.bits=2", "encoding=isaac_flip")
    assert all(word in text for word in ("rows", "isaac_flip"))


def test_every_converter_model_has_a_front_of_its_own(here: Path) -> None:
    own = "hw_models.converters.exponential:EXPONENTIAL"
    found = swept_json(f"adc.model=[saberi,'{own}']", *ONE_DESIGN)
    assert [sweep["adc.model"] for sweep in found["sweeps"]] == ["saberi", own]
    assert found["sweeps"][1]["front"][0]["params"]["adc.model"] == "exponential"
    assert found["n_designs"] == 2


def test_slice_groups_and_objectives_can_be_named(here: Path) -> None:
    found = swept_json(
        *ONE_DESIGN[:2], "adc.bits.slice3=1..3", "adc.bits.slice0=[4]", "adc.per_array=[1]"
    )
    tried = {d["params"]["adc.bits.slice0"] for d in found["sweeps"][0]["front"]}
    assert tried == {4}
    cheapest = json.loads(
        swept(*ONE_DESIGN[:2], more=("--format", "json", "--objectives", "energy_j"))
    )
    (design,) = cheapest["sweeps"][0]["front"]
    assert [design["params"][f"adc.bits.slice{s}"] for s in range(4)] == [1] * 4


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("wordlines", "takes path=domain"),
        ("regularizer=l1", "regularizer is none of crossbar"),
        ("crossbar.wordlines=[100]", "leaves the domain"),
        ("crossbar.rows=64", "crossbar.rows is none of crossbar.wordlines"),
        ("adc.per_array=0", "adc.per_array: \\[0\\] leaves the domain 1..512"),
        ("encoding=[sign]", "encoding: \\[sign\\] leaves the domain \\[differential"),
        ("adc.bits=[", "is not YAML"),
    ],
)
def test_what_cannot_be_swept_is_named(here: Path, space: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        swept(space)


def test_a_trial_that_does_not_exist_is_named(here: Path) -> None:
    with pytest.raises(StudyError, match="has no design 9; its designs are 0 to 1"):
        swept(trial=9)


def test_too_many_designs_are_refused(here: Path) -> None:
    with pytest.raises(HardwareError, match="at most 10 designs"):
        swept(more=("--max-designs", "10"))


def test_export_writes_the_hardware_of_a_trial_for_a_peer(here: Path) -> None:
    result = CliRunner().invoke(app, ["export", "tiny", "0", "--for", "mnsim", "--out", "peer"])
    assert result.exit_code == 0, result.output
    assert "not carried" in result.stdout
    text = (here / "peer" / "SimConfig.ini").read_text()
    assert "Xbar_Size = 128,128" in text
    assert "ADC_Precision = 8" in text
