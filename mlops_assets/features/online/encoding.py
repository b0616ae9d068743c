"""Keys and rows as bytes, the same in every store.

A key is the MessagePack array of its values in the order of the schema. A row is the MessagePack array of its
event_time in microseconds since 1970 and its values in the order of the schema; behind them, where a model speaks
about an earlier time than the row's, an array of such rows that answered then, the newest first. A date is the number
of days since 1970, a timestamp that of microseconds, a decimal its text with all digits of its type; null is nil.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from mlops_assets.errors import ContractError
from mlops_assets.features.online.contract import Entry, Layout
from mlops_assets.lakehouse.exact import exact
from mlops_assets.lakehouse.periods import EPOCH, ONE_MICROSECOND, in_utc
from mlops_assets.lakehouse.schema import ALWAYS, ColumnType, Family, family
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.project.lookups import WHOLE_NUMBERS

if TYPE_CHECKING:
    import pyarrow as pa

EPOCH_DAY = EPOCH.toordinal()


def layout_of(table: StateTable) -> Layout:
    """The layout under which a table is published."""
    schema = table.schema
    types = {column.name: column.type for column in schema.columns}
    return Layout(
        table.name,
        table.delta.folder.name,
        tuple((name, types[name]) for name in schema.keys),
        tuple((name, types[name]) for name in schema.value_names),
        schema.timestamp is None,
    )


def text_of(layout: Layout) -> str:
    """A layout as text, to keep beside its rows."""
    return json.dumps(asdict(layout))


def layout_from(text: str) -> Layout:
    """A layout from its text."""
    found = json.loads(text)
    pairs = {name: tuple((one, type_) for one, type_ in found[name]) for name in ("keys", "columns")}
    return Layout(**{**found, **pairs})


def micros(moment: datetime) -> int:
    """A moment as microseconds since 1970."""
    return (moment - EPOCH) // ONE_MICROSECOND


def moment(micros: int) -> datetime:
    """Microseconds since 1970 as a moment, in UTC."""
    return EPOCH + timedelta(microseconds=micros)


ALWAYS_US = micros(ALWAYS)


def key_encoder(table: str, keys: Sequence[tuple[str, ColumnType]]) -> Callable[[Sequence[object]], bytes | None]:
    """What makes bytes of the values of a table's keys, in their order; None where one of them is null.

    The function raises ContractError where a value is not of its key's type. Whole numbers are also taken for a
    double, and ISO texts for a date or timestamp, because JSON has no others; a time without a zone is in UTC.
    """
    import msgpack

    pack: Callable[[Any], bytes] = msgpack.Packer().pack
    plain = [(name, type_, _plain(type_)) for name, type_ in keys]
    kind = {"string": str, "bigint": int}.get(keys[0][1]) if len(keys) == 1 else None

    def encode(values: Sequence[object]) -> bytes | None:
        value = values[0]
        if type(value) is kind and (kind is str or value in WHOLE_NUMBERS):  # most keys are one text or number
            try:
                return pack(values)
            except UnicodeEncodeError:
                pass
        taken = []
        for (name, type_, as_plain), value in zip(plain, values, strict=True):
            if value is None:
                return None
            try:
                taken.append(as_plain(value))
            except (TypeError, ValueError, OverflowError, AttributeError):
                raise ContractError(
                    f"{value!r} ({type(value).__name__}) as the key '{name}' of '{table}'",
                    f"a value of type {type_}" + _TEXTS.get(type_, ""),
                    "correct the value; nothing is converted that could lose something",
                ) from None
        return pack(taken)

    return encode


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    if not value.isascii():
        value.encode()  # a half of a surrogate pair is no text
    return value


def _whole_number(value: Any) -> int:
    if type(value) is int and value in WHOLE_NUMBERS:
        return value
    if isinstance(value, bool) or (number := int(value.__index__())) not in WHOLE_NUMBERS:
        raise ValueError
    return number


def _double(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (number := float(value)) != value == value:
        raise ValueError
    return math.nan if number != number else number + 0.0  # one form of NaN and of zero


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _days(value: Any) -> int:
    day = date.fromisoformat(value) if isinstance(value, str) else value
    if isinstance(day, datetime) or not isinstance(day, date):
        raise TypeError
    return day.toordinal() - EPOCH_DAY


def _moment(value: Any) -> int:
    time = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(time, datetime):
        raise TypeError
    return micros(in_utc(time))


def _digits(value: Any, type_: ColumnType) -> str:
    return f"{exact(value, type_):f}"


def _plain(type_: ColumnType) -> Callable[[Any], Any]:
    """What makes of a value of a type what MessagePack takes."""
    return partial(_digits, type_=type_) if family(type_) == "decimal" else _PLAIN[family(type_)]


_PLAIN: Mapping[Family, Callable[[Any], Any]] = {
    "string": _text,
    "bigint": _whole_number,
    "double": _double,
    "boolean": _truth,
    "date": _days,
    "timestamp": _moment,
}
_TEXTS: Mapping[ColumnType, str] = {"date": ", such as 2001-03-05", "timestamp": ", such as 2001-03-05T12:00:00+00:00"}

_DECODERS: Mapping[Family, Callable[[Any], Any]] = {
    "date": lambda days: date.fromordinal(EPOCH_DAY + days),
    "timestamp": moment,
    "decimal": Decimal,
}


def decoder(type_: ColumnType) -> Callable[[Any], Any] | None:
    """What makes Python's values of those in a row, for the types that MessagePack does not have."""
    return _DECODERS.get(family(type_))


def entries_of(answers: "pa.Table", layout: Layout, event: str, earlier: Sequence["pa.Table"] = ()) -> Iterator[Entry]:
    """Entries from the answers of a lookup.

    Args:
        answers: A row for each key, with the keys and values under the names of the layout.
        layout: What keys and rows hold.
        event: The column that holds the row's time, and is null where there is no answer; of a static table, any that
            is not null where there is one.
        earlier: The answers of the same keys at earlier times, the newest first.
    """
    import msgpack

    pack: Callable[[Any], bytes] = msgpack.Packer().pack
    keys = zip(*(_plain_values(answers.column(name), key=True) for name, _ in layout.keys), strict=True)
    before = [list(_rows(table, layout, event)) for table in earlier]
    for number, (key, row) in enumerate(zip(keys, _rows(answers, layout, event), strict=True)):
        if row is None:
            yield Entry(pack(key), None, 0)
            continue
        event_us = row[0]
        older = [one for rows in before if (one := rows[number]) is not None and one[0] < event_us]
        if older:  # at several times the same row may answer
            row = (*row, [one for one, last in zip(older, [None, *older], strict=False) if one != last])
        yield Entry(pack(key), pack(row), event_us)


def _rows(answers: "pa.Table", layout: Layout, event: str) -> Iterator[tuple[Any, ...] | None]:
    """The event_time in microseconds and the values of each answer; None where there is none."""
    rows: Iterator[tuple[Any, ...]] = zip(
        *(_plain_values(answers.column(name)) for name, _ in layout.columns), strict=True
    )
    found = answers.column(event)
    if layout.static:
        events = [ALWAYS_US if valid else None for valid in found.is_valid().to_pylist()]
    else:
        import pyarrow as pa

        events = _plain_values(found.cast(pa.timestamp("us")))
    if not layout.columns:
        rows = iter([()] * answers.num_rows)
    for event_us, row in zip(events, rows, strict=True):
        yield None if event_us is None else (event_us, *row)


def _plain_values(column: "pa.ChunkedArray", *, key: bool = False) -> list[Any]:
    """Values as MessagePack takes them, null as None; as a key, with one form of NaN and of zero."""
    import numpy as np
    import pyarrow as pa

    type_ = column.type
    if pa.types.is_timestamp(type_):
        column = column.cast(pa.int64())
    elif pa.types.is_date(type_):
        column = column.cast(pa.int32())
    elif pa.types.is_decimal(type_):
        return [None if value is None else f"{value:f}" for value in column.to_pylist()]
    elif not (pa.types.is_integer(type_) or pa.types.is_floating(type_)):
        values: list[Any] = column.to_numpy().tolist()  # objects, which are Python's own
        return values
    nulls = np.flatnonzero(column.is_null().to_numpy()) if column.null_count else ()
    numbers = (column.fill_null(0) if column.null_count else column).to_numpy()
    if key and pa.types.is_floating(type_):
        numbers = np.where(np.isnan(numbers), np.nan, numbers) + 0.0
    values = numbers.tolist()
    for place in nulls:
        values[place] = None
    return values


def unpacker() -> Callable[[bytes], list[Any]]:
    """What makes values of the bytes of a row: event_time in microseconds, columns, and perhaps earlier rows."""
    import msgpack

    unpack: Callable[[bytes], list[Any]] = msgpack.unpackb
    return unpack


def shown_key(key: bytes, layout: Layout) -> dict[str, Any]:
    """The values of a key by the names of the layout, for people."""
    import msgpack

    values = zip(layout.keys, msgpack.unpackb(key), strict=True)
    return {name: _shown(value, type_) for (name, type_), value in values}


def shown_row(row: bytes, layout: Layout) -> dict[str, Any]:
    """The values of a row by the names of the layout, and its event_time, for people."""
    event_us, *values = unpacker()(row)
    shown = {"event_time": moment(event_us)}
    for (name, type_), value in zip(layout.columns, values, strict=False):  # earlier rows may follow
        shown[name] = _shown(value, type_)
    return shown


def _shown(value: Any, type_: ColumnType) -> Any:
    decode = decoder(type_)
    return value if value is None or decode is None else decode(value)
