"""What every online store does: the same in SQLite and in Redis."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import pytest

from mlops_assets.features.online.contract import (
    Entry,
    Guard,
    Layout,
    OnlineStore,
    Outcome,
    Published,
    Space,
    SpaceGoneError,
)
from mlops_assets.features.online.encoding import unpacker

LAYOUT = Layout("trend", "g1", (("shop", "string"),), (("level", "double"),), static=False)
NEXT = replace(LAYOUT, generation="g2")


def key(number: int = 1) -> bytes:
    return b"key %d" % number


def served(store: OnlineStore, layout: Layout = LAYOUT) -> Space:
    """A space that is served."""
    space = store.begin(layout, fresh=False)
    store.serve(space)
    return space


def write(store: OnlineStore, space: Space, row: bytes | None, guard: tuple[int, int], number: int = 1) -> Outcome:
    return store.write(space, [Entry(key(number), row, 100 if row else 0)], Guard(*guard))


def row(store: OnlineStore, number: int = 1) -> bytes | None:
    ((_, (found,)),) = store.read([("trend", [key(number)])])
    return found


def test_nothing_is_served_before_it_is_said_to_be(store: OnlineStore) -> None:
    assert store.served("trend") is None
    space = store.begin(LAYOUT, fresh=False)
    write(store, space, b"row", (1, 1))
    assert store.served("trend") is None
    assert store.read([("trend", [key(1), key(2)])]) == [(None, [None, None])]
    store.serve(space)
    assert store.served("trend") == space
    assert store.read([("trend", [key(2), key(1), key(1)])]) == [(space.number, [None, b"row", b"row"])]
    assert store.read([("trend", [])]) == [(space.number, [])]


def test_many_keys_of_many_tables_come_in_the_order_in_which_they_are_asked_for(store: OnlineStore) -> None:
    space = served(store)
    other = served(store, replace(LAYOUT, table="shops"))
    entries = [Entry(key(number), b"row %d" % number, number) for number in range(2500)]
    assert store.write(space, entries, Guard(1, 1)) == Outcome(written=2500)
    assert store.write(other, entries[:1], Guard(1, 1)).written == 1
    numbers = list(range(2499, -1, -1))
    found = store.read(
        [("trend", [key(number) for number in numbers]), ("shops", [key(1), key(0)]), ("none", [key(0)])]
    )
    assert found == [
        (space.number, [b"row %d" % number for number in numbers]),
        (other.number, [None, b"row 0"]),
        (None, [None]),
    ]
    assert dict(store.rows(space)) == {entry.key: entry.row for entry in entries}


@pytest.mark.parametrize(("known", "version"), list(product((-1, 0, 1), repeat=2)))
def test_a_write_holds_by_the_position_that_it_was_read_from(store: OnlineStore, known: int, version: int) -> None:
    space = served(store)
    write(store, space, b"there", (1_700_000_000_000_000, 7))
    done = write(store, space, b"new", (1_700_000_000_000_000 + known, 7 + version))
    if min(known, version) >= 0:
        assert (done, row(store)) == (Outcome(written=1), b"new")
    elif max(known, version) <= 0:
        assert (done, row(store)) == (Outcome(older=1), b"there")
    else:
        assert (done, row(store)) == (Outcome(crossing=[key()], read_from_us=1_700_000_000_000_000), b"there")


def test_the_same_answer_from_a_later_position_keeps_older_ones_out(store: OnlineStore) -> None:
    space = served(store)
    write(store, space, b"row", (1, 1))
    assert write(store, space, b"row", (3, 3)) == Outcome(unchanged=1)
    assert write(store, space, b"older", (2, 2)) == Outcome(older=1)
    assert row(store) == b"row"


def test_a_removed_row_leaves_its_position_behind(store: OnlineStore) -> None:
    space = served(store)
    write(store, space, b"row", (1, 1))
    assert write(store, space, None, (3, 3)) == Outcome(removed=1)
    assert row(store) is None
    assert dict(store.rows(space)) == {}
    assert write(store, space, b"older", (2, 2)) == Outcome(older=1)
    assert write(store, space, None, (4, 4)) == Outcome()
    assert row(store) is None
    assert write(store, space, b"back", (5, 5)) == Outcome(written=1)
    assert row(store) == b"back"


def test_a_row_expires_at_its_time_and_keeps_older_ones_out(store: OnlineStore) -> None:
    space = served(store)
    many = [Entry(key(number), b"row", number) for number in range(1, 1001)]
    store.write(space, [*many, Entry(key(0), None, 0), Entry(key(2000), b"before 1970", -5)], Guard(9, 9))
    assert store.expire(space, 700) == 701
    assert [row(store, number) for number in (1, 700, 701, 2000)] == [None, None, b"row", None]
    assert store.expire(space, 700) == 0
    assert write(store, space, b"older", (8, 8), 700) == Outcome(older=1)
    assert write(store, space, b"newer", (9, 9), 700) == Outcome(written=1)
    assert row(store, 700) == b"newer"


def test_another_space_is_served_in_one_step_and_the_one_before_is_gone(store: OnlineStore) -> None:
    old = served(store)
    write(store, old, b"old", (1, 1))
    new = store.begin(NEXT, fresh=False)
    write(store, new, b"new", (1, 1))
    assert row(store) == b"old"
    store.serve(new)
    assert (store.served("trend"), row(store)) == (new, b"new")
    for write_old in (
        lambda: write(store, old, b"late", (2, 2)),
        lambda: store.record(old, {"2024-01": Published(1, Guard(1, 1))}),
        lambda: store.serve(old),
    ):
        with pytest.raises(SpaceGoneError, match="that are written to were replaced meanwhile"):
            write_old()
    store.clean("trend")
    assert (list(store.rows(old)), row(store)) == ([], b"new")
    store.serve(new)
    assert row(store) == b"new"


def test_a_space_that_was_begun_is_filled_on_unless_a_fresh_one_is_asked_for(store: OnlineStore) -> None:
    served(store)
    begun = store.begin(NEXT, fresh=False)
    assert store.begin(NEXT, fresh=False) == begun
    assert store.begin(LAYOUT, fresh=False) != store.served("trend")
    fresh = store.begin(NEXT, fresh=True)
    assert fresh.number != begun.number
    assert fresh.layout == NEXT


def test_what_was_published_of_a_period_is_kept_with_its_space(store: OnlineStore) -> None:
    space = served(store)
    assert store.published(space, ["2024-01", "2024-02"]) == {}
    assert store.published(space, []) == {}
    done = Published(3, Guard(1_700_000_000_000_001, 8))
    store.record(space, {"2024-01": done, "2024-02": Published(1, Guard(2, 2))})
    store.record(space, {"2024-02": Published(2, Guard(3, 3))})
    assert store.published(space, ["2024-01", "2024-03"]) == {"2024-01": done}
    assert store.published(space, ["2024-02"]) == {"2024-02": Published(2, Guard(3, 3))}
    assert store.published(store.begin(NEXT, fresh=False), ["2024-01"]) == {}


@pytest.mark.slow
def test_a_reader_under_constant_writing_never_sees_half_a_row_nor_half_a_generation(store: OnlineStore) -> None:
    """Every column of every row carries one number; a generation's rows all carry one of its own thousand."""
    keys = [key(number) for number in range(300)]
    enough = threading.Event()

    def fill(space: Space, number: int) -> None:
        row = b"\xdc\x00\x28" + 40 * (b"\xce" + number.to_bytes(4))  # an array of 40 numbers
        store.write(space, [Entry(one, row, number) for one in keys], Guard(number, number))

    def write_on() -> int:
        generation = 0
        while not enough.is_set():
            generation += 1
            space = store.begin(replace(LAYOUT, generation=f"g{generation}"), fresh=False)
            fill(space, 1000 * generation)
            store.serve(space)
            for number in range(1, 6):
                fill(space, 1000 * generation + number)
            store.clean("trend")
        return generation

    def read_on() -> set[int]:
        seen: set[int] = set()
        while len(seen) < 40:
            ((_, rows),) = store.read([("trend", keys)])
            numbers = {number for row in rows if row is not None for number in set(unpacker()(row))}
            assert all(row is None or len(set(unpacker()(row))) == 1 for row in rows)
            assert len({number // 1000 for number in numbers}) <= 1
            assert not seen or None not in rows
            seen |= numbers
        return seen

    with ThreadPoolExecutor(4) as pool:
        writer = pool.submit(write_on)
        readers = [pool.submit(read_on) for _ in range(2)]
        try:
            assert all(len(reader.result()) >= 40 for reader in readers)
        finally:
            enough.set()
        assert writer.result() >= 3


@pytest.mark.slow
def test_many_threads_may_open_an_empty_store_at_once(open_new_store: Callable[[], OnlineStore]) -> None:
    for _ in range(10):
        store = open_new_store()
        with ThreadPoolExecutor(6) as pool:
            done = [pool.submit(_serve_and_write, store) for _ in range(6)]
            outcomes = [one.exception() for one in done]
        # Each serves a space of its own, or the one that another has begun; one of them is the last.
        assert all(error is None or isinstance(error, SpaceGoneError) for error in outcomes), outcomes
        assert None in outcomes
        assert store.served("trend") is not None


def _serve_and_write(store: OnlineStore) -> None:
    write(store, served(store), b"row", (1, 1))
