"""The stage store: computed once, whole or not at all, mended when damaged."""

from __future__ import annotations

import errno
import multiprocessing
import os
import resource
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from dse.errors import StageError
from dse.pipeline.shared_store import SharedStore
from dse.pipeline.stage_store import StageResult, StageStore, open_store, stage_key


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


def test_a_result_with_a_flipped_bit_is_computed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = StageStore(tmp_path)
    store.compute("train", {}, result)
    (file,) = tmp_path.rglob("*.safetensors")
    damaged = bytearray(file.read_bytes())
    damaged[-1] ^= 1  # of the last tensor
    file.write_bytes(damaged)
    mended, trace = store.compute("train", {}, result)
    assert not trace.cached
    assert torch.equal(mended.tensors["w"], result().tensors["w"])
    assert "is damaged (its check sum is another one) and is computed again" in caplog.text


def test_on_a_full_disk_results_are_computed_and_not_kept(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A limit on the size of files, which the system enforces as it does a full disk."""
    store, large = StageStore(tmp_path), StageResult(tensors={"w": torch.ones(50_000)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        for stage in ("train", "test"):
            computed, trace = store.compute(stage, {}, lambda: large)
            assert not trace.cached
            assert torch.equal(computed.tensors["w"], large.tensors["w"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caplog.text.count("cannot keep results") == 1
    assert "they are computed again where they are needed again. Free space there" in caplog.text
    assert not [f for f in tmp_path.rglob("*") if f.suffix in (".safetensors", ".part")]
    store.compute("train", {}, lambda: large)
    assert store.compute("train", {}, never)[1].cached


def test_on_a_disk_without_room_for_a_lock_results_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "mkdir", full)
    computed, _ = StageStore(tmp_path / "store").compute("train", {}, result)
    assert computed.data["accuracy"] == 1.0
    assert "No space left on device" in caplog.text


@pytest.mark.parametrize("protocol", ["file", "memory"])
def test_machines_without_a_common_disk_share_results_by_a_url(
    tmp_path: Path, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{protocol}://{tmp_path / 'shared'}"
    open_store.cache_clear()
    traces = []
    for machine in ("a", "b", "b"):
        monkeypatch.setenv("DSE_HOME", str(tmp_path / machine))
        store = open_store(tmp_path / "unused", url)
        open_store.cache_clear()
        kept, trace = store.compute("train", {}, result if not traces else never)
        traces.append(trace.cached)
        assert torch.equal(kept.tensors["w"], result().tensors["w"])
    assert traces == [False, True, True]
    assert not (tmp_path / "unused").exists()
    if protocol == "file":
        (there,) = (tmp_path / "shared").rglob("*.*")
        there.write_bytes(b"damaged")
        monkeypatch.setenv("DSE_HOME", str(tmp_path / "c"))
        assert not open_store(tmp_path, url).compute("train", {}, result)[1].cached
        monkeypatch.setenv("DSE_HOME", str(tmp_path / "d"))
        open_store.cache_clear()
        assert open_store(tmp_path, url).compute("train", {}, never)[1].cached, "mended"


def test_a_shared_store_that_is_gone_costs_time_and_no_trial(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    shared = SharedStore(f"file://{tmp_path / 'file'}")
    store = StageStore(tmp_path / "own", shared)
    for stage in ("train", "test"):
        assert store.compute(stage, {}, result)[0].data["accuracy"] == 1.0
    assert caplog.text.count("results are computed where they are needed") == 1


def test_a_shared_store_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(StageError, match=r"launch\.store: gopher://x cannot be used: Pro"):
        SharedStore("gopher://x")


def test_a_store_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(
        StageError, match=r"train: the stage store at .*store cannot be used.*DSE_H"
    ):
        StageStore(tmp_path / "store").compute("train", {}, result)


def _compute_slowly(folder: Path, counter: Path, start: Any) -> None:
    def run() -> StageResult:
        with counter.open("a") as file:
            file.write("x")
        time.sleep(0.3)
        return StageResult(data={"n": 1})

    start.wait()
    StageStore(folder).compute("train", {}, run)


def test_two_processes_that_need_a_result_compute_it_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    places = (tmp_path / "store", tmp_path / "count", context.Barrier(3))
    processes = [context.Process(target=_compute_slowly, args=places) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert (tmp_path / "count").read_text() == "x"
