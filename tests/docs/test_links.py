"""Links of the documents lead somewhere."""

from __future__ import annotations

import re

import pytest

from tests.docs.documents import DOCUMENTS, ROOT, anchors, links, text_of

_PATH = re.compile(r"`((?:dse|hw_models|search_spaces|tests|benchmarks|studies)/[\w./]+\.\w+)`")


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    for link in links(document):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / document).parent / path if path else ROOT / document
        assert target.exists(), f"{link}: no such file"
        if anchor:
            found = anchors(str(target.resolve().relative_to(ROOT)))
            assert anchor in found, f"{link}: headings are {sorted(found)}"


@pytest.mark.parametrize("document", DOCUMENTS)
def test_files_that_are_named_exist(document: str) -> None:
    named = _PATH.findall(text_of(document))
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_documents_of_the_site_link_only_inside_it() -> None:
    for document in DOCUMENTS:
        if document.startswith("docs/"):
            assert not [link for link in links(document) if link.startswith("../../")], document
            depth = document.count("/") - 1
            assert depth or not [x for x in links(document) if x.startswith("../")], document
