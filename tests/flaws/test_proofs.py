"""The table of proofs is whole, and every test that it names exists."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.flaws.proofs import PROOFS

TESTS = Path(__file__).parents[1]


def test_all_sixteen_flaws_are_in_the_table_and_none_lacks_a_test() -> None:
    assert list(PROOFS) == list(range(1, 17))
    assert all(tests for _, tests in PROOFS.values())


@pytest.mark.parametrize("proof", [proof for _, proofs in PROOFS.values() for proof in proofs])
def test_a_named_test_exists(proof: str) -> None:
    file, _, name = proof.partition("::")
    tree = ast.parse((TESTS / file).read_text())
    found = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert name in found
