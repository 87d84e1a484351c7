"""Saving leaves the old file or the new one, whole, whatever happens; and goes where it is told."""
import contextlib
import errno
import os
import pathlib
import stat
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import vivace as vv
from vivace import files, nn, optim
from vivace.io import describe, load, save


def trainer_of(width=8):
    vv.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, width), nn.Tanh(), nn.Dropout(0.2), nn.Linear(width, 3))
    trainer = vv.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), metrics=["accuracy"], seed=1)
    X = np.random.default_rng(0).standard_normal((40, 4)).astype(np.float32)
    trainer.fit(X, np.arange(40) % 3, epochs=1, batch_size=6, verbose=0)
    return trainer


# --- faults

CALLS = ("open", "write", "fsync", "fchmod", "close", "replace")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, None], ids=["full", "broken", "interrupt"])
def test_a_fault_at_any_call_leaves_the_old_file_or_the_new_one(call, error, tmp_path, monkeypatch):
    trainer, path = trainer_of(), tmp_path / "m.vivace"
    trainer.save(path)
    old = path.read_bytes()
    trainer.model[0].bias.copy_(np.ones(8))
    real, counts = getattr(os, call), {"all": 0, "failed": 0}
    for number in range(5):
        counts["all"] = 0

        def faulty(*args, number=number, **kwargs):
            counts["all"] += 1
            if counts["all"] == number + 1:
                counts["failed"] += 1
                if call == "close":
                    real(*args)
                raise KeyboardInterrupt if error is None else OSError(error, os.strerror(error))
            return real(*args, **kwargs)
        with monkeypatch.context() as patch:
            patch.setattr(os, call, faulty)
            try:
                save(trainer, path)
            except (OSError, KeyboardInterrupt):
                pass
        assert os.listdir(tmp_path) == ["m.vivace"]
        if path.read_bytes() != old:
            assert np.array_equal(load(path).model[0].bias.numpy(), np.ones(8))
            path.write_bytes(old)
    assert counts["failed"] >= 1


def test_the_disk_is_full_half_way(tmp_path, monkeypatch):
    trainer, path = trainer_of(), tmp_path / "m.vivace"
    trainer.save(path)
    old, real, room = path.read_bytes(), os.write, [1000]

    def write(handle, data):
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(handle, data[:room[0]])
        room[0] -= written
        return written
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space left"):
        trainer.save(path)
    assert path.read_bytes() == old and os.listdir(tmp_path) == ["m.vivace"]


def test_short_writes_are_gone_on_with(tmp_path, monkeypatch):
    trainer, path, real = trainer_of(), tmp_path / "m.vivace", os.write
    monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:777]))
    trainer.save(path)
    assert len(path.read_bytes()) == len(files.seal(*describe(trainer))) > 3 * 777 and load(path).step == 7


def test_data_is_synced_before_the_rename_and_the_folder_after_it(tmp_path, monkeypatch):
    calls = []
    for name in ("write", "fsync", "replace"):
        real = getattr(os, name)

        def noted(*args, name=name, real=real):
            kind = "folder" if name == "fsync" and stat.S_ISDIR(os.fstat(args[0]).st_mode) else name
            calls.append(kind)
            return real(*args)
        monkeypatch.setattr(os, name, noted)
    trainer_of().save(tmp_path / "m.vivace")
    assert calls == ["write", "fsync", "replace", "folder"]


SAVER = """
import sys, numpy as np, vivace as vv
trainer, k = vv.load(sys.argv[1]), 0
print("ready", flush=True)
while True:
    k += 1
    trainer.model[0].bias.copy_(np.full(8, k))
    trainer.model[3].bias.copy_(np.full(3, k))
    trainer.save(sys.argv[1])
"""


def test_kill_at_random_moments_of_saving(tmp_path):
    kill_savers(tmp_path, 20)


@pytest.mark.slow
def test_kill_at_a_thousand_moments_of_saving(tmp_path):
    kill_savers(tmp_path, 1000)


def kill_savers(tmp_path, times):
    """Every file is whole and of one save; some of the processes had saved several times."""
    path, rng, seen, trainer = tmp_path / "m.vivace", np.random.default_rng(0), set(), trainer_of()
    for layer in (0, 3):
        trainer.model[layer].bias.copy_(np.zeros_like(trainer.model[layer].bias.numpy()))
    trainer.save(path)
    for _ in range(-(-times // 4)):
        names = [tmp_path / f"{i}.vivace" for i in range(4)]
        with contextlib.ExitStack() as stack:
            processes = []
            for name in names:
                name.write_bytes(path.read_bytes())
                processes.append(stack.enter_context(
                    subprocess.Popen([sys.executable, "-c", SAVER, str(name)], stdout=subprocess.PIPE, cwd=tmp_path)))
                stack.callback(processes[-1].kill)  # before the pipe is waited for, whatever happens
            for process in processes:
                assert process.stdout.readline() == b"ready\n"
                time.sleep(rng.uniform(0, 0.02))
                process.kill()
        for name in names:
            loaded = load(name)
            biases = [loaded.model[layer].bias.numpy() for layer in (0, 3)]
            seen.add(float(biases[0][0]))
            assert all((bias == biases[0][0]).all() for bias in biases)
    assert len(seen) > 3


# --- paths

class PathLike:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        return self.path


@pytest.mark.parametrize("kind", [str, pathlib.Path, PathLike, os.fsencode])
def test_kinds_of_paths(kind, tmp_path):
    trainer, path = trainer_of(), kind(str(tmp_path / "mödel 1.vivace"))
    trainer.save(path)
    assert load(path).step == trainer.step and os.listdir(tmp_path) == ["mödel 1.vivace"]


def test_a_bare_name_goes_to_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trainer_of().save("m.vivace")
    assert os.listdir(tmp_path) == ["m.vivace"] and vv.load("m.vivace").step == 7


def test_a_name_as_long_as_the_system_takes(tmp_path):
    trainer_of().save(tmp_path / ("m" * 255))
    assert os.listdir(tmp_path) == ["m" * 255]


def test_permissions_are_kept(tmp_path):
    trainer, path = trainer_of(), tmp_path / "m.vivace"
    before = os.umask(0o027)
    try:
        trainer.save(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        for mode in (0o600, 0o664, 0o400):
            path.chmod(mode)
            trainer.save(path)
            assert stat.S_IMODE(path.stat().st_mode) == mode
    finally:
        os.umask(before)


def test_a_link_is_followed(tmp_path):
    (tmp_path / "real").mkdir()
    trainer, link = trainer_of(), tmp_path / "link.vivace"
    link.symlink_to(tmp_path / "real" / "m.vivace")
    trainer.save(link)
    assert link.is_symlink() and load(tmp_path / "real" / "m.vivace").step == 7 and os.listdir(tmp_path / "real") == ["m.vivace"]


def test_places_that_cannot_be_written(tmp_path, monkeypatch):
    trainer = trainer_of()
    with pytest.raises(FileNotFoundError, match="the folder to write to does not exist: .*nowhere"):
        trainer.save(tmp_path / "nowhere" / "m.vivace")
    with pytest.raises(IsADirectoryError, match="a folder stands where the file should go"):
        trainer.save(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file: .*pipe"):
        trainer.save(tmp_path / "pipe")
    real = os.open

    def refused(path, flags, *args, **kwargs):
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return real(path, flags, *args, **kwargs)
    monkeypatch.setattr(os, "open", refused)  # a folder without write permission; the superuser would not see one
    with pytest.raises(PermissionError, match=f"Permission denied: cannot make a file in the folder: '{tmp_path}'"):
        trainer.save(tmp_path / "m.vivace")
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_that_is_read_only(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="cannot make a file in the folder"):
        trainer_of().save(tmp_path / "m.vivace")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nowhere.vivace")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)
    with pytest.raises(TypeError):
        load(3.5)


def test_two_threads_may_save_to_one_path(tmp_path):
    trainers, errors = [trainer_of(), trainer_of(width=9)], []

    def work(trainer):
        try:
            for _ in range(10):
                trainer.save(tmp_path / "m.vivace")
                load(tmp_path / "m.vivace")
        except BaseException as error:  # shown below: a thread would swallow it
            errors.append(error)
    workers = [threading.Thread(target=work, args=(t,)) for t in trainers]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert not errors and os.listdir(tmp_path) == ["m.vivace"]
