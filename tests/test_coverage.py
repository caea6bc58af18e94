"""The pages under docs/doors say what the doors' own tables say (`make docs` writes them)."""

import shutil
import subprocess

import pytest

from harness import peers


def test_the_pages_are_up_to_date(tmp_path):
    pages = peers.REPO / "docs" / "doors"
    if not list(pages.glob("*.md")):
        pytest.skip("no pages under docs/doors yet")
    (tmp_path / "docs").mkdir()
    shutil.copytree(pages, tmp_path / "docs" / "doors")
    try:
        program = peers.binary("WHARF_BIN", *peers.built("wharf"))
    except peers.Missing as e:
        pytest.skip(str(e))
    subprocess.run([str(program), "coverage", "--write", str(tmp_path)], check=True, timeout=60)
    for page in pages.glob("*.md"):
        assert (tmp_path / "docs" / "doors" / page.name).read_text() == page.read_text(), f"{page.name}: run make docs"
