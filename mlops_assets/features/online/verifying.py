"""Whether the online store holds what the lookup answers now, key by key."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mlops_assets.features.created_training_sets import periods_held
from mlops_assets.features.online.answers import KEYS_AT_ONCE, Answers, oldest_wanted
from mlops_assets.features.online.contract import Entry, Layout, OnlineStore, unpublished
from mlops_assets.features.online.encoding import layout_of, micros, shown_key, shown_row, unpacker
from mlops_assets.lakehouse.masking import MASK
from mlops_assets.platform import Platform
from mlops_assets.progress import Progress, Step, untold

MAX_SHOWN = 10


@dataclass(frozen=True)
class WrongAnswer:
    """A key that the store answers otherwise than the lookup.

    Args:
        key: The key's values by name.
        stored: The row that the store has, by name; None for none.
        expected: The row that the lookup finds.
        personal: Names of columns whose values the text of it does not tell.
    """

    key: dict[str, Any]
    stored: dict[str, Any] | None
    expected: dict[str, Any] | None
    personal: frozenset[str] = frozenset()

    def __str__(self) -> str:
        def said(name: str, value: object) -> str:
            return MASK if name in self.personal else repr(value)

        key = ", ".join(f"{name}={said(name, value)}" for name, value in self.key.items())
        if self.stored is None or self.expected is None:
            return f"{key}: {'no row' if self.stored is None else 'a row'} in the store, " + (
                "one in the lakehouse" if self.stored is None else "none in the lakehouse"
            )
        other = [name for name, value in self.expected.items() if repr(value) != repr(self.stored[name])]
        return f"{key}: " + ", ".join(
            f"{name} is {said(name, self.stored[name])}, and {said(name, self.expected[name])} in the lakehouse"
            for name in other
        )


@dataclass(frozen=True)
class Verification:
    """What a comparison of a table found.

    Args:
        table: The table.
        keys: How many keys were compared: all that the table ever had, and what else the store has.
        rows: How many of them have a row now.
        different: How many differ.
        first: The first that do.
    """

    table: str
    keys: int
    rows: int
    different: int
    first: tuple[WrongAnswer, ...]


def verify(platform: Platform, store: OnlineStore, name: str, progress: Progress = untold) -> Verification:
    """Compare what the store holds of a table with the lookup's answer for now, for all keys that it ever had.

    Rows that are older than every model's lookback do not count: they may be there until the next publishing.

    Raises:
        MissingDataError: Nothing was published of the table under its present definition.
    """
    table = platform.table(name)
    layout = layout_of(table)
    served = store.served(name)
    if served is None or served.layout != layout:
        raise unpublished(name, f"nothing was published of '{name}' under its present definition")
    now = platform.clock.now()
    oldest, unpack = oldest_wanted(platform.project, name, now), unpacker()
    earliest = micros(oldest) if oldest else -(2**63)
    stored = {key: row for key, row in store.rows(served) if unpack(row)[0] > earliest}
    expected = Answers(platform, table, now, table.delta.version() or 0)
    moments = [micros(one) for one in (expected.now, *expected.earlier)]
    answered = partial(_answers, moments=moments, columns=len(layout.columns))
    keys = rows = different = 0
    first: list[WrongAnswer] = []
    personal = frozenset(column.name for column in table.schema.columns if column.is_personal)

    def compared() -> Iterator[tuple[bytes, bytes | None, bytes | None]]:
        for entry in _entries(expected, layout, progress):
            yield entry.key, stored.pop(entry.key, None), entry.row
        yield from ((key, row, None) for key, row in stored.items())

    for key, found, wanted in compared():
        keys += 1
        rows += wanted is not None
        if found != wanted and answered(found) != answered(wanted):
            different += 1
            if len(first) < MAX_SHOWN:
                there, expect = (None if row is None else shown_row(row, layout) for row in (found, wanted))
                first.append(WrongAnswer(shown_key(key, layout), there, expect, personal))
    return Verification(name, keys, rows, different, tuple(first))


def _entries(answers: Answers, layout: Layout, progress: Progress) -> Iterator[Entry]:
    """What the lookup finds for each key that the table ever had."""
    platform, table = answers.platform, answers.table
    held = periods_held(platform, table)
    first, last = (held[0], held[-1]) if held else (None, None)
    keys = platform.engine.changed_keys(table, first=first, last=last, after=None, version=answers.version)
    for start in range(0, keys.num_rows, KEYS_AT_ONCE):
        yield from answers.entries(answers.of(keys.slice(start, KEYS_AT_ONCE)), layout)
        done = min(start + KEYS_AT_ONCE, keys.num_rows)
        progress(Step(table.name, done, keys.num_rows, "keys", minor=True))


def _answers(row: bytes | None, *, moments: Sequence[int], columns: int) -> list[str]:
    """What a row answers at moments; it may still carry what it answered at moments that nobody asks about now."""
    if row is None:
        return []
    values = unpacker()(row)
    rows = [values[: 1 + columns], *(values[1 + columns] if len(values) > 1 + columns else ())]
    return [repr(next((one for one in rows if one[0] <= moment), None)) for moment in moments]
