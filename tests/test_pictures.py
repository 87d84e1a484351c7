"""The scripts that draw the pictures of docs/ run, and give the numbers that the pages state."""
import importlib.util
import pathlib

import numpy as np
import pytest

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"


def script(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name, pictures", [("losses", ["losses.png"]), ("gradients", ["gradient_norms.png", "saddle.png"])])
def test_pictures_are_drawn(name, pictures, tmp_path):
    script(name).draw(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == pictures
    assert all((DOCS / "pictures" / p).exists() for p in pictures)


def test_numbers_of_the_page_on_gradients():
    """Each row of its table: first and last layer, to the digits shown."""
    page, norms = (DOCS / "gradients.md").read_text(), script("gradients").gradient_norms()
    for name, found in norms.items():
        row = next((line for line in page.splitlines() if line.startswith(f"| {name} |")), None)
        assert row is not None, name
        first, last = (float(cell) for cell in row.split("|")[2:4])
        np.testing.assert_allclose([found[0], found[-1]], [first, last], rtol=0.2)


def test_wells_and_saddle():
    module = script("gradients")
    ends = [path[-1, 0] for path in module.well_paths().values()]
    np.testing.assert_allclose(ends, [0.96, -1.04], atol=0.01)
    left = [int(np.argmax(np.abs(path[:, 1]) > 1)) for path in module.saddle_paths().values()]
    assert left == [244, 62]
