"""docs/seeing_training.py draws the pictures of its page, of networks that are what the page says."""
import importlib.util
import pathlib
import re

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"


def test_the_pictures(tmp_path):
    spec = importlib.util.spec_from_file_location("seeing_training", DOCS / "seeing_training.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    said = script.main(tmp_path)
    assert said["healthy"] == "healthy: nothing to report"
    assert said["vanishing"].startswith("vanishing gradients in layers 0 to 3")
    made = {path.name for path in tmp_path.iterdir()}
    assert made == set(re.findall(r"\(pictures/(\w+\.png)\)", (DOCS / "seeing_training.md").read_text()))
    for name in made:
        assert (tmp_path / name).read_bytes()[:16] == (DOCS / "pictures" / name).read_bytes()[:16], name


def test_the_page_names_the_thresholds():
    from vivace import diagnosis as module
    page = (DOCS / "seeing_training.md").read_text()
    values = {"LEAPT": "4 times", "WORSE": "twice", "GROWTH": "10,000 times", "DEAD": "50%", "DEAD_LEARNING": "90%", "VANISHING": "10,000",
              "SATURATED": "90%", "STILL": "1e-5", "WAY": "1%", "WILD": "10%"}
    assert {name: getattr(module, name) for name in values} == {
        "LEAPT": 4, "WORSE": 2, "GROWTH": 1e4, "DEAD": 0.5, "DEAD_LEARNING": 0.9, "VANISHING": 1e-4, "SATURATED": 0.9, "STILL": 1e-5,
        "WAY": 0.01, "WILD": 0.1}
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for name, text in values.items():
        assert any(f"`{name}`" in row and text in row for row in rows), name
