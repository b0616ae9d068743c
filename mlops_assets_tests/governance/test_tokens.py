"""Tokens: given, shown, revoked, expired, by several at once, and through a kill."""

import json
import os
import resource
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import (
    DamagedStateError,
    DefinitionError,
    ForbiddenError,
    MissingDataError,
    PlatformError,
    UnusableEnvironmentError,
)
from mlops_assets.governance.access import AT_THE_MACHINE, ROLES
from mlops_assets.governance.tokens import (
    TokenStore,
    expiry,
    first_token,
    principal_of_environment,
    require_tokens_for,
)

NOW = datetime(2024, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "trail" / "tokens.jsonl")


def again(store: TokenStore) -> TokenStore:
    """The store as another process opens it."""
    return TokenStore(store.file, store.roles)


def test_a_token_opens_what_its_roles_allow(store: TokenStore) -> None:
    token = store.create("till", ("reader", "application"), None, NOW)
    assert len(token) == len("mlops_") + 43 and token.startswith("mlops_")
    for found in (store.principal(token, NOW), again(store).principal(token, NOW)):
        assert found is not None
        assert (found.name, found.roles) == ("till", ("reader", "application"))
        assert found.scopes == ROLES["reader"] | ROLES["application"]


@pytest.mark.parametrize("other", ["", "mlops_", "mlops_" + "A" * 43, "\udcff", "x" * 10_000, "{token}x", "{id}"])
def test_what_is_no_token_opens_nothing(store: TokenStore, other: str) -> None:
    token = store.create("till", ("reader",), None, NOW)
    (record,) = store.list(NOW)
    assert store.principal(other.format(token=token, id=record.id), NOW) is None


def test_the_file_holds_a_hash_alone_and_is_the_owners(store: TokenStore) -> None:
    mask = os.umask(0)
    try:
        token = store.create("till", ("reader",), None, NOW)
    finally:
        os.umask(mask)
    assert token.removeprefix("mlops_") not in store.file.read_text(encoding="utf-8")
    assert stat.S_IMODE(store.file.stat().st_mode) == 0o600
    assert token not in repr(store.list(NOW)) and "sha256" not in repr(store.list(NOW))


def test_a_revoked_token_opens_nothing_at_the_next_question_even_if_the_clock_is_set_back(store: TokenStore) -> None:
    token = store.create("till", ("reader",), None, NOW)
    serving = again(store)
    assert serving.principal(token, NOW) is not None
    store.revoke("till", NOW + DAY)
    assert serving.principal(token, NOW + DAY) is None
    assert serving.principal(token, NOW) is None


def test_a_token_expires_on_the_given_clock(store: TokenStore) -> None:
    token = store.create("till", ("reader",), NOW + DAY, NOW)
    assert store.principal(token, NOW + DAY - timedelta(microseconds=1)) is not None
    assert store.principal(token, NOW + DAY) is None


def test_the_file_is_read_again_only_when_it_changed(store: TokenStore) -> None:
    token = store.create("till", ("reader",), None, NOW)
    before = store.records()
    assert store.records() is before
    store.create("shelf", ("reader",), None, NOW)
    assert store.records() is not before
    store.file.unlink()
    with pytest.raises(DamagedStateError, match="in which tokens were written"):
        store.principal(token, NOW)


def test_tokens_are_revoked_by_name_or_id_and_again_without_effect(store: TokenStore) -> None:
    store.create("till", ("reader",), NOW + DAY, NOW)
    second = store.create("till", ("reader",), None, NOW + DAY)  # the first has expired
    assert store.revoke("till", NOW + DAY).expires_at is None
    assert store.principal(second, NOW + DAY) is None
    size = store.file.stat().st_size
    assert store.revoke(next(iter(store.records())), NOW + DAY).revoked_at == NOW + DAY
    assert store.file.stat().st_size > size
    size = store.file.stat().st_size
    assert store.revoke("till", NOW + 2 * DAY).revoked_at == NOW + DAY
    assert store.file.stat().st_size == size


def test_valid_tokens_are_listed_first(store: TokenStore) -> None:
    for name in ("a", "b", "c"):
        store.create(name, ("reader",), None, NOW)
    store.revoke("a", NOW)
    assert [record.name for record in store.list(NOW)] == ["b", "c", "a"]


@pytest.mark.parametrize(
    ("name", "roles", "expires", "found", "cure"),
    [
        ("till", ("reader",), None, "a second token 'till'", "mlops-assets tokens revoke till"),
        ("a\nb", ("reader",), None, r"a token named 'a\nb'", "choose another name"),
        ("b", ("reeder",), None, "role 'reeder'", "write 'reader'"),
        ("b", ("nurse",), None, "role 'nurse'", "[tool.mlops_assets.roles]"),
        ("b", (), None, "a token without a role", "name a role"),
        ("b", ("reader",), NOW, "a token that expires at 2024-03-01T12:00:00+00:00", "let it expire later"),
    ],
)
def test_a_token_that_cannot_be_is_refused_and_not_recorded(
    store: TokenStore, name: str, roles: tuple[str, ...], expires: datetime | None, found: str, cure: str
) -> None:
    store.create("till", ("reader",), None, NOW)
    before = store.file.read_bytes()
    with pytest.raises(DefinitionError) as refused:
        store.create(name, roles, expires, NOW)
    assert refused.value.found.startswith(found) and cure in refused.value.cure
    assert store.file.read_bytes() == before


def test_who_revokes_what_is_not_there_is_told_the_nearest_name(store: TokenStore) -> None:
    store.create("till", ("reader",), None, NOW)
    with pytest.raises(MissingDataError) as refused:
        store.revoke("tills", NOW)
    assert str(refused.value) == (
        "Found: no token 'tills'. Expected: the id or name of a token: till. What to do: write 'till'."
    )


def _create_many(file: Path, name: str) -> None:
    store = TokenStore(file)
    for number in range(10):
        store.create(f"{name}{number}", ("reader",), None, NOW)
        try:
            store.create("contested", ("reader",), None, NOW)
        except DefinitionError:
            continue


def test_processes_and_threads_that_create_at_once_lose_nothing_and_share_no_name(store: TokenStore) -> None:
    apart = get_context("spawn")  # this process has threads, which a fork would not have
    processes = [apart.Process(target=_create_many, args=(store.file, name)) for name in "abc"]
    for process in processes:
        process.start()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: _create_many(store.file, name), "xyz"))
    for process in processes:
        process.join()
        assert process.exitcode == 0
    names = [record.name for record in again(store).list(NOW)]
    assert sorted(names) == sorted([f"{name}{number}" for name in "abcxyz" for number in range(10)] + ["contested"])


@given(cut=st.integers(min_value=1, max_value=400), event=st.sampled_from(["created", "revoked"]))
def test_an_event_torn_by_a_kill_did_not_happen_and_hides_no_other(
    tmp_path_factory: pytest.TempPathFactory, cut: int, event: str
) -> None:
    store = TokenStore(tmp_path_factory.mktemp("trail") / "tokens.jsonl")
    first = store.create("first", ("reader",), None, NOW)
    seal_file = store.file.with_suffix(".seal.json")
    whole, seal = store.file.read_bytes(), seal_file.read_bytes()
    if event == "created":
        store.create("second", ("reader",), None, NOW)
    else:
        store.revoke("first", NOW)
    line = store.file.read_bytes()[len(whole) :]
    torn = line[: min(cut, len(line) - 2)]
    store.file.write_bytes(whole + torn)
    seal_file.write_bytes(seal)  # the kill came before the next one
    assert store.principal(first, NOW) is not None
    third = store.create("third", ("reader",), None, NOW)
    assert store.file.read_bytes().startswith(whole + torn + b"\n")  # appended to, never written anew
    assert [record.name for record in again(store).list(NOW)] == ["first", "third"]
    assert again(store).principal(third, NOW) is not None


def test_a_line_that_is_no_event_opens_nothing_to_anybody(store: TokenStore) -> None:
    token = store.create("till", ("administrator",), None, NOW)
    with store.file.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "renewed", "id": "x"}) + "\n")
    with pytest.raises(UnusableEnvironmentError) as refused:
        store.principal(token, NOW)
    assert refused.value.found == f"line 2 of {store.file}, which is no event of a token"


def test_a_disk_without_room_creates_no_token_and_hides_no_other(store: TokenStore) -> None:
    token = store.create("till", ("reader",), None, NOW)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (store.file.stat().st_size + 20, limits[1]))
    try:
        with pytest.raises(UnusableEnvironmentError) as refused:
            store.create("shelf", ("reader",), None, NOW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.value.found == f"the tokens in {store.file} cannot be written (File too large)"
    assert store.principal(token, NOW) is not None
    assert store.create("shelf", ("reader",), None, NOW)


def test_a_fresh_machine_is_given_one_administrator_once(store: TokenStore) -> None:
    token = first_token(store, NOW)
    assert token is not None
    found = store.principal(token, NOW)
    assert found is not None and found.may("administer")
    assert first_token(store, NOW) is None
    store.revoke("administrator", NOW)
    assert first_token(store, NOW) is None  # revoking the last token must not hand out another


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "[::1]", "localhost"])
def test_a_server_listens_to_its_own_machine_without_tokens(store: TokenStore, host: str) -> None:
    require_tokens_for(host, store, NOW)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "features.example.org"])
def test_a_server_listens_to_other_machines_only_where_a_token_is_valid(store: TokenStore, host: str) -> None:
    store.create("till", ("reader",), NOW + DAY, NOW)
    require_tokens_for(host, store, NOW)
    with pytest.raises(UnusableEnvironmentError) as refused:
        require_tokens_for(host, store, NOW + DAY)
    assert str(refused.value) == (
        f"Found: address '{host}', which other machines reach, and no valid token. Expected: a token for whoever is to "
        "use the server, or an address of this machine alone such as 127.0.0.1. What to do: create one: "
        "mlops-assets tokens create NAME --role ROLE."
    )


def test_the_command_line_acts_by_the_token_in_the_environment(store: TokenStore) -> None:
    token = store.create("till", ("approver",), None, NOW)
    assert principal_of_environment(store, {}, NOW) == AT_THE_MACHINE
    assert principal_of_environment(store, {"MLOPS_TOKEN": ""}, NOW) == AT_THE_MACHINE
    assert principal_of_environment(store, {"MLOPS_TOKEN": token}, NOW).may("models:approve")
    store.revoke("till", NOW)
    with pytest.raises(ForbiddenError) as refused:
        principal_of_environment(store, {"MLOPS_TOKEN": token}, NOW)
    assert refused.value.found == "a token in MLOPS_TOKEN that was never created here, was revoked or has expired"
    assert token not in str(refused.value)


def test_an_expiry_is_a_length_of_time_or_a_moment() -> None:
    assert expiry("90 days", NOW) == NOW + 90 * DAY
    assert expiry("2 months", NOW) == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert expiry("2025-03-31", NOW) == datetime(2025, 3, 31, tzinfo=UTC)
    for text in ("soon", "90000 years", "9000000 days"):
        with pytest.raises(PlatformError):
            expiry(text, NOW)


def flipped(content: bytes) -> bytes:
    """One bit of it, in the middle of the last line."""
    place = len(content) - 40
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes | None]] = {
    "a bit": flipped,
    "cut in the last line": lambda content: content[:-9],
    "cut after a line": lambda content: content[: content.rindex(b"\n", 0, -1) + 1],
    "a line that cannot be read": lambda content: content.replace(b'"event": "revoked"', b'"event": "revoked'),
    "another role": lambda content: content.replace(b'"reader"', b'"editor"'),
    "older": lambda content: content[: content.index(b"\n") + 1],
    "another file": lambda content: b"\x89PNG",
    "emptied": lambda content: b"",
    "gone": lambda content: None,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_tokens_that_are_not_what_was_written_open_nothing_and_let_nothing_be_added(
    store: TokenStore, kind: str
) -> None:
    shelf = store.create("shelf", ("reader",), None, NOW)
    revoked = store.create("till", ("reader",), None, NOW)
    store.revoke("till", NOW)
    content = DAMAGE[kind](store.file.read_bytes())
    if content is None:
        store.file.unlink()
    else:
        store.file.write_bytes(content)
    for act in (
        lambda: again(store).principal(revoked, NOW),
        lambda: again(store).principal(shelf, NOW),
        lambda: again(store).create("another", ("reader",), None, NOW),
    ):
        with pytest.raises(DamagedStateError) as refused:
            act()
        assert str(store.file) in refused.value.found and "from a backup" in refused.value.cure
    if kind == "a line that cannot be read":
        assert refused.value.found == f"line 3 of {store.file}, which cannot be read"


@pytest.mark.parametrize("content", [b"", b"{", b"3", b'{"format": 1, "size": 3}'])
def test_a_seal_that_cannot_be_read_is_named(store: TokenStore, content: bytes) -> None:
    token = store.create("till", ("reader",), None, NOW)
    seal = store.file.with_suffix(".seal.json")
    seal.write_bytes(content)
    with pytest.raises(DamagedStateError, match="tokens.seal.json, which cannot be read"):
        again(store).principal(token, NOW)


def test_the_tokens_of_a_home_of_an_earlier_release_are_sealed_with_their_next_event(store: TokenStore) -> None:
    token = store.create("till", ("reader",), None, NOW)
    seal = store.file.with_suffix(".seal.json")
    seal.unlink()
    assert again(store).principal(token, NOW) is not None
    with store.file.open("ab") as file:
        file.write(b'{"format": 1, "ev')
    with pytest.raises(DamagedStateError, match="line 2 of"):  # nothing proves that it is no revocation
        again(store).principal(token, NOW)
    store.file.write_bytes(store.file.read_bytes().splitlines(keepends=True)[0])
    store.revoke("till", NOW)
    assert seal.exists() and again(store).principal(token, NOW) is None
