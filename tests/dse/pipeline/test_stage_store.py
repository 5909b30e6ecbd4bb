"""The stage store: computed once, whole or not at all, mended when damaged."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
import torch

from dse.errors import StageError
from dse.pipeline.stage_store import StageResult, StageStore, stage_key


def result(value: float = 1.0) -> StageResult:
    return StageResult(tensors={"w": torch.full((3, 2), value)}, data={"accuracy": value})


def never() -> StageResult:
    raise AssertionError("computed again")


def test_a_result_is_computed_once_and_read_back_exactly(tmp_path: Path) -> None:
    inputs = {"seed": 1, "rate": 0.1}
    first, computed = StageStore(tmp_path).compute("train", inputs, result)
    second, found = StageStore(tmp_path).compute("train", dict(reversed(inputs.items())), never)
    assert (computed.cached, found.cached) == (False, True)
    assert computed.key == found.key == stage_key("train", inputs)
    assert torch.equal(first.tensors["w"], second.tensors["w"])
    assert dict(second.data) == {"accuracy": 1.0}


def test_other_inputs_and_other_stages_have_other_results(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    store.compute("train", {"seed": 1}, result)
    _, other_seed = store.compute("train", {"seed": 2}, result)
    _, other_stage = store.compute("test", {"seed": 1}, result)
    assert not other_seed.cached
    assert not other_stage.cached


def test_a_result_without_tensors_is_kept(tmp_path: Path) -> None:
    store = StageStore(tmp_path)
    store.compute("accuracy", {}, lambda: StageResult(data={"accuracy": 0.5}))
    kept, trace = store.compute("accuracy", {}, never)
    assert trace.cached
    assert kept.data["accuracy"] == 0.5


@pytest.mark.parametrize("damage", [b"", b"x" * 500])
def test_a_damaged_file_is_computed_again(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    store = StageStore(tmp_path)
    store.compute("train", {}, result)
    (file,) = tmp_path.rglob("*.safetensors")
    file.write_bytes(damage)
    mended, trace = store.compute("train", {}, result)
    assert not trace.cached
    assert mended.data["accuracy"] == 1.0
    assert "is damaged" in caplog.text
    assert store.compute("train", {}, never)[1].cached


def test_a_stage_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def fails() -> StageResult:
        raise StageError("diverged")

    with pytest.raises(StageError, match="diverged"):
        StageStore(tmp_path).compute("train", {}, fails)
    assert not [f for f in tmp_path.rglob("*") if f.suffix in (".safetensors", ".part")]


def test_a_store_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(
        StageError, match=r"train: the stage store at .*store cannot be used.*DSE_H"
    ):
        StageStore(tmp_path / "store").compute("train", {}, result)


def _compute_slowly(folder: Path, counter: Path) -> None:
    def run() -> StageResult:
        with counter.open("a") as file:
            file.write("x")
        time.sleep(0.3)
        return StageResult(data={"n": 1})

    StageStore(folder).compute("train", {}, run)


def test_two_processes_that_need_a_result_compute_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_compute_slowly, args=(tmp_path / "store", tmp_path / "count"))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "count").read_text() == "x"
