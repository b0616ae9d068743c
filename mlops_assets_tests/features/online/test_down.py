"""A store that is down, damaged, deleted or killed: said in words, never with a password, and mended by itself."""

import contextlib
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from mlops_assets.errors import StoreUnavailableError, UnusableEnvironmentError
from mlops_assets.features.online.contract import Entry, Guard, Layout
from mlops_assets.features.online.redis import RedisStore
from mlops_assets.features.online.sqlite import SqliteStore
from mlops_assets.features.online.store import STORE_VARIABLE, open_store
from mlops_assets_tests import forks
from mlops_assets_tests.features.online.redis_server import PASSWORD, RedisServer
from mlops_assets_tests.features.online.test_publishing import Project
from mlops_assets_tests.features.online.test_stores import key, row, served, write
from mlops_assets_tests.serving.running import until


def write_until_killed(file: Path) -> None:
    store = SqliteStore(file)
    space = store.served("trend")
    assert space is not None
    for number in range(2, 1_000_000):
        entries = [Entry(key(place), b"%d" % number, number) for place in range(20)]
        store.write(space, entries, Guard(number, number))
        print(number, flush=True)


class Answering:
    """A server that answers whatever it is asked with one line."""

    def __init__(self, said: bytes) -> None:
        self._said = said + b"\r\n"
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._clients: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> "Answering":
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        for one in (self._server, *self._clients):  # a client that fails may leave its connection open
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._clients.append(client)
                with client, contextlib.suppress(OSError):
                    while asked := client.recv(65_536):
                        client.sendall(self._said * (asked.count(b"\r\n*") + 1))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project.of(tmp_path)


@pytest.mark.slow
def test_redis_that_is_down_is_named_without_its_password_and_answers_again_once_it_is_up() -> None:
    server = RedisServer().start()
    try:
        store = RedisStore(server.url, "shop")
        space = served(store)
        write(store, space, b"row", (1, 1))
        assert row(store) == b"row"
        server.stop()
        for ask in (store.check, lambda: row(store), lambda: write(store, space, b"row", (2, 2))):
            with pytest.raises(StoreUnavailableError) as raised:
                ask()
            text = str(raised.value)
            assert f"the online store redis://127.0.0.1:{server.port}/0 does not answer" in text
            assert PASSWORD not in text + repr(raised.value.__cause__)
        server.start()
        store.check()
        assert store.read([("trend", [key()])]) == [(None, [None])]
        write(store, served(store), b"again", (1, 1))
        assert row(store) == b"again"
    finally:
        server.close()


def test_a_wrong_password_is_not_shown(redis_server: RedisServer) -> None:
    store = RedisStore(redis_server.url.replace(PASSWORD, "trout-11"), "shop")
    with pytest.raises(StoreUnavailableError, match="does not answer") as raised:
        store.check()
    assert "trout-11" not in str(raised.value)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"-OOM command not allowed when used memory > 'maxmemory'.", "OutOfMemoryError: command not allowed"),
        (b"-LOADING Redis is loading the dataset in memory", "BusyLoadingError: Redis is loading"),
        (b"-MOVED 3999 127.0.0.1:6381", "MovedError: 3999 127.0.0.1:6381"),
        (b"-NOPERM this user has no permissions", "NoPermissionError: this user has no permissions"),
        (b"HTTP/1.1 400 Bad Request", "InvalidResponse: Protocol Error: b'HTTP/1.1 400"),
    ],
)
def test_a_server_that_answers_otherwise_than_redis_should_is_told_with_its_words(said: bytes, words: str) -> None:
    with Answering(said) as server:
        for method, given in (("check", ()), ("read", ([("trend", [key()])],)), ("served", ("trend",))):
            store = RedisStore(f"redis://127.0.0.1:{server.port}/0", "shop")
            with pytest.raises(StoreUnavailableError) as told:
                getattr(store, method)(*given)
            found = f"the online store redis://127.0.0.1:{server.port}/0 does not answer ({words}"
            assert told.value.found.startswith(found)


def test_a_server_that_is_no_redis_is_told_though_its_client_fails_otherwise() -> None:
    with (
        Answering(b":5") as server,
        pytest.raises(StoreUnavailableError, match=r"answer \(AttributeError: 'int' object"),
    ):
        RedisStore(f"redis://127.0.0.1:{server.port}/0", "shop").check()


@pytest.mark.parametrize("url", ["postgresql://x", "sqlite:", "redis://user:trout-11:x@host:1:2/0", "redis"])
def test_a_url_of_no_store_is_refused_without_its_words(
    project: Project, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv(STORE_VARIABLE, url)
    with pytest.raises(UnusableEnvironmentError, match=f"{STORE_VARIABLE} with no URL of a store") as raised:
        open_store(project.platform)
    assert "trout-11" not in str(raised.value) + repr(raised.value.__cause__)


def test_the_store_is_a_file_in_the_home_unless_the_environment_names_one(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(STORE_VARIABLE, raising=False)
    assert str(open_store(project.platform)) == str(project.platform.home.folder / "online.sqlite")
    monkeypatch.setenv(STORE_VARIABLE, f"sqlite://{tmp_path}/other.sqlite")
    store = open_store(project.platform)
    store.check()
    assert (tmp_path / "other.sqlite").exists()
    monkeypatch.setenv(STORE_VARIABLE, "redis://:secret@cache:6380/2")
    assert str(open_store(project.platform)) == "redis://cache:6380/2"


def test_a_damaged_file_is_said_to_be_one_and_a_new_one_in_its_place_is_used(tmp_path: Path) -> None:
    file = tmp_path / "online.sqlite"
    file.write_bytes(b"no database " * 1000)
    with pytest.raises(StoreUnavailableError, match=r"online\.sqlite does not answer \(file is not a database\)"):
        SqliteStore(file).check()
    file.unlink()
    store = SqliteStore(file)
    write(store, served(store), b"row", (1, 1))
    assert row(store) == b"row"


def test_a_file_that_is_deleted_under_an_open_store_is_not_read_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "online.sqlite"
    store = SqliteStore(file)
    write(store, served(store), b"old", (1, 1))
    for name in tmp_path.glob("online.sqlite*"):
        name.unlink()
    other = SqliteStore(file)
    write(other, served(other), b"new", (1, 1))
    now = time.monotonic()
    monkeypatch.setattr("time.monotonic", lambda: now + 2)  # it looks every second
    assert row(store) == b"new"


@pytest.mark.slow
def test_a_writer_that_is_killed_leaves_every_batch_whole(tmp_path: Path) -> None:
    file = tmp_path / "online.sqlite"
    store = SqliteStore(file)
    space = served(store)
    store.write(space, [Entry(key(number), b"1", 1) for number in range(20)], Guard(1, 1))
    process = forks.start_work(write_until_killed, file)
    until(lambda: process.printed.count("\n") >= 20)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    ((_, rows),) = store.read([("trend", [key(number) for number in range(20)])])
    assert len(set(rows)) == 1
    assert int(rows[0] or 0) >= 20
    assert sqlite3.connect(file).execute("PRAGMA integrity_check").fetchone() == ("ok",)
    write(store, space, b"after", (10**9, 10**9))
    assert row(store) == b"after"


def test_a_store_of_a_newer_format_is_neither_read_nor_written(redis_server: RedisServer) -> None:
    layout = Layout("trend", "g1", (("shop", "string"),), (("level", "double"),), static=False)
    first = RedisStore(redis_server.url, "numbered")
    first.serve(first.begin(layout, fresh=False))
    number = first._prefix + b"format"
    assert first._client.get(number) == b"1"
    first._client.set(number, 2)
    uses: tuple[Callable[[RedisStore], object], ...] = (
        lambda store: store.read([("trend", [b"key"])]),
        lambda store: store.served("trend"),
        lambda store: store.begin(layout, fresh=True),
    )
    for use in uses:
        with pytest.raises(UnusableEnvironmentError) as refused:
            use(RedisStore(redis_server.url, "numbered"))
        assert refused.value.found.endswith("/0 in format 2") and PASSWORD not in str(refused.value)
        assert refused.value.cure == "use the release that wrote it, or a newer one"
    first._client.delete(number)  # published before there were numbers
    assert RedisStore(redis_server.url, "numbered").served("trend") == first.served("trend")
