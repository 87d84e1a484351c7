"""On what machine, with which versions, when: stands in every result."""
import datetime
import importlib.metadata
import platform

from .. import kernels, threads

PACKAGES = ("vivace", "numpy", "scikit-learn", "thinc", "torch", "jax")


def describe():
    """{"cpu", "cores", "level", "system", "date", "versions"}."""
    return {"cpu": _cpu(), "cores": threads.cores(), "level": kernels.which()["isa"], "system": f"{platform.system()} {platform.machine()}",
            "date": datetime.date.today().isoformat(), "versions": {"python": platform.python_version(), **_versions()}}


def _versions():
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def _cpu():
    """The model's name; its numbers too, because a virtual machine's name may be short."""
    try:
        with open("/proc/cpuinfo") as f:
            lines = f.read().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    name = facts.get("model name", platform.machine())
    return f"{name}, family {facts['cpu family']}, model {facts['model']}" if "cpu family" in facts and "model" in facts else name
