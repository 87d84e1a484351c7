"""docs/gallery.py draws its pictures, and gives the scores that docs/gallery.md prints."""
import importlib.util
import pathlib
import re

import pytest

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"


def test_the_gallery(tmp_path):
    spec = importlib.util.spec_from_file_location("gallery", DOCS / "gallery.py")
    gallery = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gallery)
    scores = gallery.main(tmp_path)
    page = (DOCS / "gallery.md").read_text()
    printed = {name: float(score) for name, score in re.findall(r"^\| (\w+) \|.* (?:accuracy|R²) ([\d.]+) \|$", page, re.MULTILINE)}
    assert set(printed) == set(scores) == {make.__name__ for make in gallery.PICTURES}
    for name, score in scores.items():
        assert score == pytest.approx(printed[name], abs=0.04), name  # other instruction sets round differently
        picture = (DOCS / "pictures" / f"{name}.png").read_bytes()
        assert f"(pictures/{name}.png)" in page
        assert (tmp_path / f"{name}.png").read_bytes()[:16] == picture[:16], name
