"""The Python blocks of README.md and docs/ that are marked ```python run: executed in order, one namespace per file."""
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("kernels/*.md"), *ROOT.glob("nn/*.md")])
BLOCK = re.compile(r"^```(python[^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(text):
    """[(mark, first line, code)] of the Python blocks of a page."""
    return [(m[1], text.count("\n", 0, m.start()) + 2, m[2]) for m in BLOCK.finditer(text)]


def runs(page):
    return [(line, code) for mark, line, code in blocks(page.read_text()) if mark == "python run"]


def name(page):
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [page for page in PAGES if runs(page)], ids=name)
def test_blocks_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = {"__name__": "__main__"}
    for line, code in runs(page):
        exec(compile("\n" * (line - 1) + code, str(page), "exec"), space)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_python_blocks_are_python(page):
    """Also those that are not run; a mark is `python` or `python run`."""
    for mark, line, code in blocks(page.read_text()):
        assert mark in ("python", "python run"), f"{name(page)}, line {line - 1}: ```{mark}"
        compile("\n" * (line - 1) + code, str(page), "exec")


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_to_files_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text()):
        if not re.match(r"[a-z]+:", target):
            assert (page.parent / target).exists(), f"{name(page)} links to {target}"


def test_the_finder_of_blocks_finds_them():
    text = "a\n```python run\nx = 1\n```\nb\n```python\ny\n```\n```sh\nz\n```\n"
    assert blocks(text) == [("python run", 3, "x = 1\n"), ("python", 7, "y\n")]
