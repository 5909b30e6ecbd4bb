"""An evaluation that runs out of memory is tried again elsewhere; other errors are its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from dse.evaluation import Failure
from dse.launching.launch import evaluation_settings
from dse.pipeline.evaluate import Evaluator
from dse.resuming import driving
from tests.dse.fakes import database_in, small_spec


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), Failure(reason="out of memory: there is no more", lost=True)),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nGPU 0 has"),
            Failure(
                reason="out of memory: CUDA out of memory. Tried to allocate 2 GiB.", lost=True
            ),
        ),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
            Failure(
                reason="out of memory: [enforce fail] DefaultCPUAllocator: can't allocate memory: "
                "you tried",
                lost=True,
            ),
        ),
        (RuntimeError("mat1 and mat2"), Failure(reason="RuntimeError: mat1 and mat2")),
    ],
)
def test_its_outcome(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, expected: Failure
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Evaluator, "_evaluate", fail)
    monkeypatch.setattr(Evaluator, "_least_metrics", lambda *_: {})
    spec = small_spec()
    evaluator = Evaluator(evaluation_settings(spec, store=tmp_path))
    with driving(database_in(tmp_path), spec) as study:
        job = study.ask()
        assert job is not None
    assert evaluator.outcome(job.point) == expected


def test_torch_itself_says_so_when_the_memory_of_the_machine_is_too_small() -> None:
    from dse.pipeline.evaluate import _is_out_of_memory

    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50, dtype=torch.uint8)
    assert _is_out_of_memory(caught.value)
