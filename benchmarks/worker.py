"""A process of its own for each library and number of threads, so that each has its own thread pools; driven over pipes, one at a time.

A message is a line of JSON. To the process: {"do": "prepare", "workload": name, "answer": file}, {"do": "warm",
"seconds": s}, {"do": "run"}. From it: a dict, or {"unsupported": why}, or {"error": what}. It ends with its standard input.
"""
import contextlib
import json
import math
import os
import subprocess
import sys
import time
import warnings

SETTLE = 0.06
"""Seconds that each runs before it is timed: idle threads of the one before spin on for tens of milliseconds (OpenBLAS: 30)."""

LARGE = 1e10
"""Operations of a step that is not repeated to warm up: it takes a large part of a second."""
MOST = 20_000_000
"""Rows of a chunk of epochs, whose orders are held in memory."""

_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VIVACE_NUM_THREADS", "NPROC", "PJRT_NPROC")
"""What libraries read their number of threads from; the last two: JAX."""


def environment(threads, given):
    """The environment `given` for a process of `threads` threads; None leaves the choice to the library."""
    env = {name: value for name, value in given.items() if name not in _VARIABLES}
    env["TORCHINDUCTOR_COMPILE_THREADS"] = "1"  # no pool of compiling processes beside
    if threads is not None:
        env |= dict.fromkeys(_VARIABLES, str(threads))
    if threads == 1:
        env["XLA_FLAGS"] = f"{given.get('XLA_FLAGS', '')} --xla_cpu_multi_thread_eigen=false".strip()
    return env


class Died(Exception):
    """A process did not answer as agreed."""


class Worker:
    """The side of the driver: the process of one library at one number of threads."""

    def __init__(self, name, threads):
        self.name, self.threads = name, threads
        self.process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, name, "auto" if threads is None else str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(threads, os.environ))

    def ask(self, **message):
        """The reply to a message; raises Died where there is none."""
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except OSError:
            line = ""
        if not line:
            raise Died(f"the process of {self.name} with {self.threads or 'its own'} threads ended: status {self.process.wait()}")
        return json.loads(line)

    def close(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


class Runner:
    """The side of the process."""

    def __init__(self, name, threads):
        self.name, self.threads, self.library = name, threads, None

    def prepare(self, workload, answer):
        """Build it, and let it train from the common start: the answer goes to a file, to be verified."""
        from .libraries import LIBRARIES, Unsupported
        from .verify import answer as train
        from .workloads import WORKLOADS
        self.library = None  # what it held may be large
        self.workload = WORKLOADS[workload]
        try:
            self.library = LIBRARIES[self.name](self.workload, self.threads)
            train(self.library, self.workload).save(answer)
        except Unsupported as why:
            return {"unsupported": str(why)}
        return {}

    def warm(self, seconds):
        """Everything once that compiles or allocates; then a chunk of as many epochs or calls as take about `seconds`."""
        work, count = self.workload, 1
        X, y = work.data(work.rows)
        if work.kind == "train":
            self.library.load(X, y)
        else:
            self.X = X
        self.chunk = self.single = self.orders(1)
        self.timed(self.single)
        self.epoch = max(self.timed(self.single), 1e-7) if self.workload.flops < LARGE else math.inf
        for _ in range(2):  # the second time from a better guess: a call has costs of its own
            if self.epoch >= seconds:
                break
            most = max(1, MOST // work.rows) if work.kind == "train" else 1_000_000
            count = min(most, max(1, round(seconds / self.epoch)))
            self.chunk = self.orders(count)
            self.timed(self.chunk)
            self.epoch = max(self.timed(self.chunk) / count, 1e-7)
        return {}

    def orders(self, count):
        work = self.workload
        return work.orders(work.rows, 0, count) if work.kind == "train" else count

    def timed(self, chunk):
        begin = time.perf_counter()
        if self.workload.kind == "train":
            self.library.train(chunk)
        else:
            predict, X = self.library.predict, self.X
            for _ in range(chunk):
                predict(X)
        return time.perf_counter() - begin

    def run(self):
        """One turn: settle, then the chunk in one call; microseconds per step or call, and the threads that ran."""
        end = time.perf_counter() + SETTLE
        if self.epoch > SETTLE:
            time.sleep(SETTLE)
        while time.perf_counter() < end:
            self.timed(self.single)
        took = self.timed(self.chunk)
        units = self.chunk if isinstance(self.chunk, int) else len(self.chunk) * self.workload.steps
        last = getattr(getattr(self.library, "trainer", None), "last_run", None)
        return {"microseconds": took / units * 1e6, "ran": last.threads if last and last.threads else self.threads or os.cpu_count()}


def main(argv):
    """Answer messages until they end. Standard output is theirs alone: what libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    name, threads = argv
    runner = Runner(name, None if threads == "auto" else int(threads))
    for line in sys.stdin:
        message = json.loads(line)
        try:
            reply = getattr(runner, message.pop("do"))(**message)
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main(sys.argv[1:])
