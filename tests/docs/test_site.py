"""The site builds, strictly, and needs no network."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.docs.documents import DOCUMENTS, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--strict",
            "--site-dir",
            str(folder),
        ],
        cwd=ROOT,
        env={"PATH": "", "NO_MKDOCS_2_WARNING": "1", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Documentation built in" in done.stderr, "told to be quiet, it counts no warnings"
    return folder


def test_every_document_has_a_page_in_the_navigation(site: Path) -> None:
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    pages = set(re.findall(r"[\w/]+\.md", str(nav)))
    assert {f"docs/{page}" for page in pages} == {d for d in DOCUMENTS if d.startswith("docs/")}
    for page in pages:
        assert (site / page).with_suffix(".html").is_file()


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="(https?:[^"]*)"', text)
        loaded += re.findall(r'<link[^>]*\srel="stylesheet"[^>]*href="(https?:[^"]*)"', text)
        loaded += re.findall(r'<link[^>]*href="(https?:[^"]*)"[^>]*rel="stylesheet"', text)
        assert loaded == [], page.name


def test_the_reference_has_signatures_and_docstrings(site: Path) -> None:
    text = re.sub(r"<[^>]+>", "", (site / "reference" / "dse.html").read_text(encoding="utf-8"))
    assert "A study to look at in Python or a notebook." in text
    assert "reference_point" in text
    text = (site / "reference" / "hw_models.html").read_text(encoding="utf-8")
    assert "hw_models.estimation.estimate.estimate_designs" in text
