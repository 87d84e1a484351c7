"""Bytes on disk: written whole or not at all, sealed with a digest, and read back as data of known types, never as code."""
import errno
import json
import os
import stat

FORMAT = 1
EMPTY = b"0" * 64
MARK = b'"digest":"'
HUGE = 1 << 62


class FileError(ValueError):
    """A file that is not what it should be: truncated, changed, or not ours."""


# --- writing

def write_whole(path, data):
    """Write `data` to `path` atomically and durably: a new file beside it, synced, renamed over it, the folder synced.

    Whatever happens, `path` is the old file or the new one. A link is followed, permissions are kept. Raises OSError.
    """
    path = os.path.realpath(text_of(path))
    handle, temporary, mode = _beside(path)
    try:
        try:
            _write_all(handle, data)
            if mode is not None:
                os.fchmod(handle, mode)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(temporary, path)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
    directory = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def text_of(path):
    """`path` as text; TypeError for what is none."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise TypeError(f"path must be a str or an os.PathLike, got {path!r}")
    return os.fsdecode(path)


def check_place(path):
    """Raise the OSError that `write_whole` would meet at `path`, as far as it can be known before there is anything to write."""
    if not os.path.basename(path):
        raise FileNotFoundError(errno.ENOENT, "a name of a file is wanted", path)
    handle, temporary, _ = _beside(os.path.realpath(text_of(path)))
    os.close(handle)
    os.unlink(temporary)


def _beside(path):
    """(handle, name, permissions to give it) of a new file in the folder of `path`, to be renamed to it."""
    folder, name = os.path.split(path)
    mode = _mode(path)
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "the folder to write to does not exist", folder)
    temporary = os.path.join(folder, f".{name[:40]}.{os.urandom(8).hex()}.part")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else mode)
    except OSError as error:
        raise type(error)(error.errno, f"{error.strerror}: cannot make a file in the folder", folder) from None
    return handle, temporary, mode


def _write_all(handle, data):
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest):]


def _mode(path):
    """The permissions of the file that is replaced; None for a new one, which the system gives its usual ones."""
    try:
        found = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found):
        raise IsADirectoryError(errno.EISDIR, "a folder stands where the file should go", path)
    if not stat.S_ISREG(found):
        raise OSError(errno.EINVAL, "not a regular file", path)
    return found & 0o777


# --- the format

def seal(tensors, description):
    """The bytes of a safetensors file that holds arrays by name, a JSON description, and the SHA-256 of all its other bytes."""
    import hashlib

    import numpy as np
    from safetensors.numpy import save as to_bytes
    meta = {"vivace": json.dumps(description, allow_nan=False, default=_plain), "digest": EMPTY.decode()}
    # the writer stores memory as it stands: anything but row-major order would come back scrambled
    raw = bytearray(to_bytes({name: np.asarray(a, order="C") for name, a in tensors.items()}, metadata=meta))
    at = raw.index(MARK + EMPTY) + len(MARK)
    raw[at:at + len(EMPTY)] = hashlib.sha256(raw).hexdigest().encode()
    return bytes(raw)


def _plain(value):
    """The Python number of a NumPy one."""
    if type(value).__module__ == "numpy" and getattr(value, "ndim", 1) == 0:
        return value.item()
    raise TypeError(f"a file holds numbers, text and lists of them, not {type(value).__name__}")


def parse(raw, path="file"):
    """(arrays, description) of a file's bytes, after its digest was compared; FileError with the reason for anything else."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes
    size = _unseal(raw, path)
    try:
        description = json.loads(json.loads(raw[8:8 + size])["__metadata__"]["vivace"], parse_constant=_no_constant)
        tensors = from_bytes(raw)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError, MemoryError,
            SafetensorError) as error:
        raise FileError(f"{path} cannot be read: {type(error).__name__}: {error}") from error
    found = description.get("format") if isinstance(description, dict) else None
    if found != FORMAT or isinstance(found, bool):
        raise FileError(f"{path} has format {found!r}, this version reads {FORMAT}")
    return tensors, description


def _unseal(raw, path):
    """Length of the header, once the digest agrees."""
    import hashlib
    size = int.from_bytes(raw[:8], "little") if len(raw) >= 8 else HUGE
    if size > len(raw) - 8:
        raise FileError(f"{path} is not a Vivace file, or it is truncated: {len(raw)} bytes")
    at = raw.find(MARK, 8, 8 + size)
    if at < 0:
        raise FileError(f"{path} is not a Vivace file: it has no digest")
    at += len(MARK)
    view, digest = memoryview(raw), hashlib.sha256()
    for part in (view[:at], EMPTY, view[at + len(EMPTY):]):
        digest.update(part)
    if digest.hexdigest().encode() != raw[at:at + len(EMPTY)]:
        raise FileError(f"{path} is damaged or truncated: its digest does not match")
    return size


def _no_constant(name):
    raise ValueError(f"a number is {name}")


# --- types of a description

def count(value):
    """Whether `value` is an int in 0..2^62."""
    return type(value) is int and 0 <= value < HUGE


def seed(value):
    """Whether `value` is an int in 0..2^64 - 1."""
    return type(value) is int and 0 <= value < 1 << 64


def number(value):
    """Whether `value` is an int or a float of moderate size."""
    return type(value) in (int, float) and abs(value) < 1e300


def typed(value, kind, where="description"):
    """Raise FileError unless `value` is of `kind`:

    a type, a tuple of kinds (any of them), a value such as None, a function that tells, [kind] for lists,
    {str: kind} for any names,
    {"name": kind, ...} for exactly these names.
    """
    if isinstance(kind, tuple):
        return _any_of(value, kind, where)
    if isinstance(kind, list):
        for i, item in enumerate(_be(value, list, where)):
            typed(item, kind[0], f"{where}[{i}]")
    elif isinstance(kind, dict) and str in kind:
        for name, item in _be(value, dict, where).items():
            typed(item, kind[str], f"{where}.{name}")
    elif isinstance(kind, dict):
        wrong = set(kind) ^ set(_be(value, dict, where))
        if wrong:
            raise FileError(f"{where} must have the entries {', '.join(kind)}; wrong or missing: {', '.join(sorted(wrong))}")
        for name, item in kind.items():
            typed(value[name], item, f"{where}.{name}")
    elif isinstance(kind, type):
        _be(value, kind, where)
    elif not (kind(value) if callable(kind) else value is kind):
        expected = kind.__name__ if callable(kind) else kind
        raise FileError(f"{where} must be {expected}, got {_short(value)}")


def _any_of(value, kinds, where):
    for kind in kinds:
        try:
            return typed(value, kind, where)
        except FileError as error:
            reason = error
    raise reason


def _be(value, kind, where):
    if type(value) is not kind:
        raise FileError(f"{where} must be {kind.__name__}, got {_short(value)}")
    return value


def _short(value):
    text = repr(value) if isinstance(value, (str, int, float, bool, type(None))) else type(value).__name__
    return text if len(text) <= 40 else text[:37] + "..."
