"""What this machine's multiply-add units do at most, measured: the ruler of the benchmarks.

The loop is kernels/compiled/peak.h: chains in registers, no memory. Every level that the CPU runs is tried and the best of all rounds
counts, so the longer one looks the truer it gets; nothing that computes may be faster.
"""
import importlib
import threading
import time

from .. import kernels


def _levels():
    return [importlib.import_module(f"vivace.kernels.compiled._{name}") for name in kernels.available()["cython"]]


class Peak:
    """GFLOP/s of `threads` threads at once in multiply-adds; the best of all calls of look()."""

    def __init__(self):
        self.best, self._rounds, self._books = {}, {}, _levels()

    def look(self, dtype="float32", threads=1, seconds=0.01, times=1):
        """Measure `times` more, about `seconds` per level each; the best so far."""
        for book in self._books * times:
            rounds = self._rounds.get((book, dtype)) or self._calibrate(book, dtype)
            speed = _together(book, dtype, max(1, int(rounds * seconds)), threads)
            self.best[dtype, threads] = max(speed, self.best.get((dtype, threads), 0.0))
        return self.best[dtype, threads]

    def of(self, dtype, threads):
        """The peak of `threads` threads, looked for now if it never was."""
        return self.best.get((dtype, threads)) or self.look(dtype, threads, times=5)

    def _calibrate(self, book, dtype):
        """Rounds of a second."""
        begin = time.perf_counter()
        book.multiply_adds(dtype, 100_000)
        self._rounds[book, dtype] = 100_000 / (time.perf_counter() - begin)
        return self._rounds[book, dtype]


def _together(book, dtype, rounds, threads):
    """GFLOP/s over the time from the first thread's start to the last one's end."""
    spans, ready = [], threading.Barrier(threads)

    def run():
        ready.wait()
        begin = time.perf_counter()
        work, _ = book.multiply_adds(dtype, rounds)
        spans.append((begin, time.perf_counter(), work))
    team = [threading.Thread(target=run) for _ in range(threads - 1)]
    for thread in team:
        thread.start()
    run()
    for thread in team:
        thread.join()
    begins, ends, work = zip(*spans)
    return sum(work) / (max(ends) - min(begins)) / 1e9
