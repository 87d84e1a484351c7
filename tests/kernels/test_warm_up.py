"""kernels.jit.warm_up compiles ahead: the first call afterwards has nothing left to compile."""
import numpy as np
import pytest

from vivace import kernels


def test_the_first_call_finds_a_compiled_loop(capsys):
    book = kernels.get("numba")
    loop = book.KERNELS["divide"].plain.__globals__["_divide"]
    assert book.warm_up(["divide"], ["float32"]) > 0
    compiled = len(loop.signatures)
    assert "compiling" in capsys.readouterr().err
    a = np.ones((4, 3), np.float32)
    book.divide(a, a, np.empty_like(a))
    assert compiled == len(loop.signatures) >= 1


def test_it_is_reached_by_name():
    assert kernels.jit is kernels.get("numba") and kernels.jit.warm_up is kernels.get("numba").warm_up
    with pytest.raises(AttributeError, match="has no attribute 'git'"):
        kernels.git  # noqa: B018


def test_quiet_and_wrong(capsys):
    book = kernels.get("numba")
    book.warm_up(["scale"], ["float32"], progress=False)
    assert capsys.readouterr().err == ""
    with pytest.raises(ValueError, match="names must hold kernels, got 'nothing'"):
        book.warm_up(["nothing"])
