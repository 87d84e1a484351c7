"""What a fit did."""


class LastRun:
    """What the last fit did: threads, steps, seconds, samples_per_second, gflops (matmuls alone)."""

    def __init__(self, threads=0, steps=0, seconds=0.0, samples_per_second=0.0, gflops=0.0):
        self.threads, self.steps, self.seconds = threads, steps, seconds
        self.samples_per_second, self.gflops = samples_per_second, gflops

    def __repr__(self):
        return (f"LastRun(threads={self.threads}, steps={self.steps}, seconds={self.seconds:.3g}, "
                f"samples_per_second={self.samples_per_second:.3g}, gflops={self.gflops:.3g})")
