"""What every kind of storage promises: a further one runs through the same by its line in `KINDS`."""

import os
import pickle
import signal
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.storage.files import write_atomically, write_new
from mlops_assets.storage.opening import storage_at, storage_of
from mlops_assets.storage.path import StoragePath
from mlops_assets_tests import forks
from mlops_assets_tests.storage.kinds import KINDS

STRANGE = ("a b", "100%", "%20", "period=2024-01", "größe", "名前", "a+b&c?d#e", "'", '"', "[x]*", "~", ".x")
NAMES = st.sampled_from(STRANGE) | st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/"), min_size=1, max_size=30
).filter(lambda name: name not in (".", ".."))


@pytest.fixture(params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StoragePath:
    """A storage in which nothing lies, of each kind."""
    return KINDS[request.param](tmp_path)


Kept = dict[tuple[str, str], bytes]
WRITES = st.tuples(
    st.sampled_from(["write", "write_new", "append", "create", "delete"]),
    st.tuples(NAMES, NAMES),
    st.binary(max_size=50),
    st.integers(0, 60),
)


@pytest.mark.parametrize("kind", KINDS)
@given(writes=st.lists(WRITES, max_size=12))
@settings(max_examples=40)
def test_a_storage_holds_what_was_written_last(
    kind: str, writes: Sequence[tuple[str, tuple[str, str], bytes, int]]
) -> None:
    with TemporaryDirectory() as own:
        folder, kept = KINDS[kind](Path(own)), Kept()
        for how, key, content, at in writes:
            write(folder, how, key, content, at, kept)
        for folder_name in {above for above, _ in kept}:
            listed = [name for above, name in kept if above == folder_name]
            assert (folder / folder_name).names() == sorted(listed)
            assert (folder / folder_name).exists() and folder.exists()
        for (above, name), content in kept.items():
            file = folder / above / name
            assert file.exists() and (file.name, file.parent) == (name, folder / above)
            assert (file.read_bytes(), file.read_bytes(2), file.status().size) == (content, content[2:], len(content))
            assert Path(file.local_file()).read_bytes() == content
            with file.open() as stream:
                assert stream.read() == content


def write(folder: StoragePath, how: str, key: tuple[str, str], content: bytes, at: int, kept: Kept) -> None:
    """Write a file in one of the ways, and keep what must be there then."""
    file, before = folder / key[0] / key[1], kept.get(key)
    if how == "write_new" and before is not None:
        with pytest.raises(FileExistsError):
            file.write_new(content)
    elif how == "delete" and before is None:
        with pytest.raises(FileNotFoundError):
            file.delete()
    elif how == "delete":
        file.delete()
        del kept[key]
    elif how == "append":
        end = min(at, len(before or b""))
        with file.parent.held():
            file.append(content, end)
        kept[key] = (before or b"")[:end] + content
    elif how == "create":
        with file.create() as stream:
            stream.write(content)
        kept[key] = content
    else:
        getattr(file, how)(content)
        kept[key] = content


def test_what_is_not_there_is_empty_and_cannot_be_read(folder: StoragePath) -> None:
    assert not folder.exists() and not (folder / "file").exists()
    assert folder.names() == (folder / "deeper").names() == []
    for ask in ("status", "read_bytes", "open", "delete", "local_file"):
        with pytest.raises(FileNotFoundError):
            with_content = getattr(folder / "file", ask)()
            Path(with_content).read_bytes()
    (folder / "file").write(b"")
    assert (folder / "file").names() == []


def test_an_address_leads_to_the_same_file(folder: StoragePath) -> None:
    file = folder / "deep" / "file"
    file.write(b"here")
    assert file == folder.at(file.address) == folder / "deep/file" and str(file) == file.address
    assert folder.at(file.address).read_bytes() == b"here"
    assert hash(file) == hash(folder.at(file.address)) and sorted([file, folder / "a"]) == [folder / "a", file]


def test_a_file_of_another_content_has_another_stamp(folder: StoragePath) -> None:
    file, stamps = folder / "file", []
    for content in (b"one", b"two", b"six"):
        file.write(content)
        stamps.append(file.status().stamp)
        assert file.status().stamp == stamps[-1]
    assert stamps[0] != stamps[1] != stamps[2]
    assert file.status().changed_ms >= 0


def test_of_many_that_write_a_new_file_one_wins(folder: StoragePath) -> None:
    together = threading.Barrier(8)

    def writes(number: int) -> bool:
        together.wait()
        try:
            (folder / "new").write_new(str(number).encode() * 1000)
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as writers:
        won = list(writers.map(writes, range(8)))
    assert won.count(True) == 1
    assert (folder / "new").read_bytes() == str(won.index(True)).encode() * 1000
    assert folder.names() == ["new"]


def test_who_holds_a_folder_holds_it_alone(folder: StoragePath) -> None:
    file = folder / "count"
    file.write(b"0")

    def counts(_: int) -> None:
        with folder.held():
            file.write(str(int(file.read_bytes()) + 1).encode())

    with ThreadPoolExecutor(4) as writers:
        list(writers.map(counts, range(40)))
    assert file.read_bytes() == b"40"


# Local files, which other processes write, and a kill stops in the middle


def test_a_storage_of_local_files_is_sent_to_other_processes(tmp_path: Path) -> None:
    file = storage_at(tmp_path / "a b" / "100%")
    assert pickle.loads(pickle.dumps(file)) == file
    assert str(storage_of(tmp_path, "lakehouse") / "tables") == str(tmp_path / "lakehouse" / "tables")


def write_once_all_are_ready(file: StoragePath, content: bytes, ready: Barrier) -> None:
    ready.wait()
    try:
        file.write_new(content)
    except FileExistsError:
        print("late")


def test_of_many_processes_that_write_a_new_file_one_wins(tmp_path: Path) -> None:
    file, ready = storage_at(tmp_path / "a b" / "100%"), forks.CONTEXT.Barrier(4)
    contents = [str(number).encode() * 100_000 for number in range(4)]
    running = [forks.start_work(write_once_all_are_ready, file, content, ready) for content in contents]
    assert [process.wait() for process in running] == [0, 0, 0, 0]
    won = [process.printed == "" for process in running]
    assert won.count(True) == 1
    assert file.read_bytes() == contents[won.index(True)] and file.parent.names() == ["100%"]


def write_and_be_killed(file: StoragePath, how: str, call: str, before: bool) -> None:
    """Write, and be killed at a call of the system."""
    does = getattr(os, call)

    def killing(*given: object) -> None:
        if not before:
            does(*given)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(os, call, killing)
    getattr(file, how)(b"new" * 100_000)


@pytest.mark.parametrize(
    ("how", "call", "before"),
    [
        *(("write", call, before) for call in ("fsync", "replace") for before in (True, False)),
        *(("write_new", call, before) for call in ("fsync", "replace", "link") for before in (True, False)),
    ],
)
def test_killed_in_the_middle_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, how: str, call: str, before: bool
) -> None:
    file = storage_at(tmp_path / "file")
    if how == "write":
        file.write(b"old")
    assert forks.start_work(write_and_be_killed, file, how, call, before).wait() == -signal.SIGKILL
    done = not before and call == {"write": "replace", "write_new": "link"}[how]
    if done:
        assert file.read_bytes() == b"new" * 100_000
    else:
        assert file.read_bytes() == b"old" if how == "write" else not file.exists()
        getattr(file, how)(b"next")
        assert file.read_bytes() == b"next"


def test_who_is_killed_holds_nothing(tmp_path: Path) -> None:
    folder = storage_at(tmp_path / "folder")
    assert forks.start_work(hold_and_be_killed, folder).wait() == -signal.SIGKILL
    with folder.held():
        assert folder.names() == []


def hold_and_be_killed(folder: StoragePath) -> None:
    with folder.held():
        os.kill(os.getpid(), signal.SIGKILL)


def test_two_threads_that_write_one_file_leave_one_of_the_two_contents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, long = tmp_path / "file", b"long" * 1000
    sync = os.fsync
    first_time = iter([True])

    def other_writer_comes_between(descriptor: int) -> None:
        sync(descriptor)
        if next(first_time, False):
            other = threading.Thread(target=write_atomically, args=(file, b"short"))
            other.start()
            other.join()
            assert file.read_bytes() == b"short"

    monkeypatch.setattr(os, "fsync", other_writer_comes_between)
    write_atomically(file, long)
    assert file.read_bytes() == long
    assert list(tmp_path.iterdir()) == [file]


def test_a_write_that_fails_leaves_nothing_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for write in (write_atomically, write_new):
        with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
            patched.setattr(os, "fsync", full)
            write(tmp_path / "file", b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_closed_to_this_user_does_not_count_as_empty(
    folder: StoragePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "sales" / "1").write(b"")
    folder.require_readable()
    if isinstance(folder, type(storage_at(tmp_path))):
        monkeypatch.setattr(os, "access", lambda place, how: not str(place).endswith("sales"))
        with pytest.raises(UnusableEnvironmentError) as refused:
            folder.require_readable()
        assert str(folder / "sales") in refused.value.found
