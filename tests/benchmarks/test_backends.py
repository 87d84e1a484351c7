"""The comparison of backends: what is verified, what is refused, what the page and the picture say. No time is asserted."""
import xml.etree.ElementTree

import numpy as np
import pytest
from vivace.benchmarks import backends, kernel_cases, report, step

from vivace import kernels


@pytest.mark.parametrize("name", kernel_cases.CASES)
def test_every_case_equals_the_reference(name):
    """In the compiled book here; in the Numba book where the command runs, as it compiles for a while."""
    kernel_cases.check(name, getattr(kernels.get("cython"), name))
    spec, (arrays, _) = getattr(kernels.reference, name).spec, kernel_cases.CASES[name]()
    assert len(arrays) == len(spec.arrays)
    shown = [entry.name for entry, array in zip(spec.arrays, arrays) if array is not None and entry.name != "packed"]
    assert [word.split("(")[0] for word in kernel_cases.sizes(name).split() if "(" in word] == shown


def test_sizes_in_words():
    assert kernel_cases.sizes("linear_forward") == "x(128, 256) w(256, 256) b(256) y(128, 256)"


@pytest.mark.parametrize("name", ["relu_forward", "adam_update", "linear_backward_weight"])
def test_a_kernel_that_differs_is_refused(name):
    right = getattr(kernels.get("cython"), name)

    def wrong(*arrays, **scalars):
        right(*arrays, **scalars)
        written = [a for entry, a in zip(right.spec.arrays, arrays) if entry.role in ("out", "inout") and a is not None]
        written[-1].reshape(-1)[-1] += 1e-3 * np.abs(written[-1]).max()
    with pytest.raises(AssertionError):
        kernel_cases.check(name, wrong)


def test_kernels_and_steps_are_measured():
    names = ("relu_forward", "softmax_cross_entropy")
    found = backends.measure_kernels(0.05, names)
    assert tuple(found) == names
    for entry in found.values():
        assert list(entry["microseconds"]) == backends.present() and all(us > 0 for us in entry["microseconds"].values())
        assert ("compile" in entry) == ("numba" in backends.present())


def test_nothing_is_written_where_backends_differ(monkeypatch, capsys, tmp_path):
    def differ(seconds):
        raise step.Failed("losses differ")
    monkeypatch.setattr(backends, "measure_kernels", lambda seconds: {})
    monkeypatch.setattr(backends, "measure_steps", differ)
    monkeypatch.setattr(backends, "RESULTS", tmp_path / "b.json")
    assert backends.main([]) == 1 and "losses differ" in capsys.readouterr().err and not list(tmp_path.iterdir())


def results():
    return {"machine": {"cpu": "A < B", "cores": 2, "level": "v3", "system": "Linux x86_64", "date": "2020-01-02",
                        "versions": {"python": "3.11", "numba": None}},
            "kernels": {"relu_forward": {"sizes": "x(2) y(2)", "compile": 0.52,
                                         "microseconds": {"numpy": 12.0, "numba": 4.0, "cython": 3.0}},
                        "add": {"sizes": "a(2)", "microseconds": {"numpy": 5.0, "cython": 10.0}}},
            "steps": [{"title": "6-9-3, batch 8", "difference": 2e-7, "rows": [["NumPy", 2, 50.0], ["vivace cython", 1, 10.0]]}]}


def test_tables():
    text = backends.part(results())
    assert "| `relu_forward` | `x(2) y(2)` | 12.0 | 4.0 | 3.0 | 3.0x | 4.0x | 0.5 s |" in text
    assert "| `add` | `a(2)` | 5.0 | - | 10.0 | - | 0.5x | - |" in text
    assert "| 6-9-3, batch 8 | a tuned program in NumPy (`benchmarks/numpy_mlp.py`) | 2 | 50.0 | 1.00x |" in text
    assert '|  | `backend="cython"` | 1 | 10.0 | 5.00x |' in text and "agree to 2e-07" in text
    assert "Measured on 2020-01-02: A < B, 2 cores, level v3, Linux x86_64; python 3.11." in text


def test_the_picture_is_xml_and_names_all():
    text = backends.draw(results())
    assert xml.etree.ElementTree.fromstring(text).tag.endswith("svg")
    for shown in ("relu_forward", "Cython 4.0x", "Numba 3.0x", "NumPy 1.0x", "Cython 0.5x", "A &lt; B, 2 cores, 2020-01-02"):
        assert shown in text
    bars = [r for r in xml.etree.ElementTree.fromstring(text).iter() if r.tag.endswith("rect") and r.get("height") == "12"]
    widths = [float(r.get("width")) for r in bars]
    assert widths == pytest.approx([540 / 4, 540 * 3 / 4, 540, 540 / 4, 540 / 8], abs=0.1)


@pytest.mark.skipif(not (report.ROOT / "README.md").exists(), reason="an installed package has no pages")
def test_page_and_picture_are_what_the_results_make_them():
    held = backends.load()
    for path, text in backends.generated(held).items():
        assert path.read_text() == text, f"{path.name} is not what {backends.MAKER} makes of backends.json"
    assert backends.PICTURE.exists() == (held is not None)
    if held is not None:
        assert list(held["kernels"]) == list(kernel_cases.CASES) and len(held["steps"]) == len(step.CASES)
        assert all(set(entry["microseconds"]) == set(backends.BACKENDS) for entry in held["kernels"].values())
