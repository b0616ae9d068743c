"""Records of any kind in the lakehouse: frozen dataclasses whose first field is their key, a row each.

A kind may get further fields at its end that have a default: of records that were written before, this is their value.
"""

from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_origin

from mlops_assets.errors import ConflictError, ContractError
from mlops_assets.lakehouse import formats
from mlops_assets.lakehouse.tables import PeriodTable

if TYPE_CHECKING:
    import pyarrow as pa

Record = TypeVar("Record")


def write_record(table: PeriodTable, record: Any) -> str:
    """Write a record, in place of the one that has its key; returns the data version."""
    return _of_kind(table, type(record)).write(*_as_row(record))


def write_new_record(table: PeriodTable, record: Any) -> None:
    """Write a record whose key is new.

    Raises:
        ConflictError: There is a record of this key, or another writer was faster; nothing was written.
    """
    table, (key, row) = _of_kind(table, type(record)), _as_row(record)
    if table.delta.counters([key])[key]:
        raise ConflictError(
            f"a second {type(record).__name__} {key} in table '{table.delta.name}'",
            "one record for each key, which is never changed",
            "look at the one that is there, and decide anew",
        )
    table.add(key, row)


def read_records(table: PeriodTable, kind: type[Record], keys: Sequence[str] | None = None) -> list[Record]:
    """All records of a kind, or those of some keys, in the order of their keys.

    Raises:
        ContractError: They have other fields than their number says.
        UnusableEnvironmentError: They were written by a release whose records have another number.
    """
    table = _of_kind(table, kind)
    rows = table.read(keys)
    if rows is None:
        return []
    key, *others = fields(kind)  # type: ignore[arg-type]
    later = {field.name: field.default for field in others if field.default is not MISSING}
    strange = ({field.name for field in others} ^ (set(rows.column_names) - {"period"})) - set(later)
    if strange:
        raise ContractError(
            f"records in table '{table.delta.name}' that differ in {', '.join(sorted(strange))}",
            f"records in format {table.delta.records}",
            "use the release that wrote them, or restore the table from a backup",
        )
    # The lakehouse keeps the key as text, where 10 would come before 9.
    found = [
        kind(
            **{key.name: key.type(row.pop("period"))},  # type: ignore[operator]
            **{name: later[name] if value is None and name in later else value for name, value in row.items()},
        )
        for row in rows.to_pylist()
    ]
    return sorted(found, key=lambda record: getattr(record, key.name))


def _of_kind(table: PeriodTable, kind: type) -> PeriodTable:
    """The table, as one that holds records of a kind: of the number that its class names, once it has changed."""
    number = getattr(kind, "FORMAT", formats.RECORDS)
    return table if table.delta.records == number else PeriodTable(replace(table.delta, records=number))


def schema_of(kind: Any) -> "pa.Schema":
    """The fields of records of a kind as a table has them, without their key."""
    import pyarrow as pa

    types: dict[Any, pa.DataType] = {
        datetime: pa.timestamp("us", "UTC"),
        datetime | None: pa.timestamp("us", "UTC"),
        str: pa.string(),
        float: pa.float64(),
        float | None: pa.float64(),
        int: pa.int64(),
        bool: pa.bool_(),
    }
    _, *others = fields(kind)
    return pa.schema([(item.name, types[str if get_origin(item.type) is Literal else item.type]) for item in others])


def _as_row(record: Any) -> tuple[str, "pa.Table"]:
    """The key of a record as text, and all else of it as a table of one row."""
    import pyarrow as pa

    key, *_ = fields(record)
    values = asdict(record)
    return str(values.pop(key.name)), pa.Table.from_pylist([values], schema=schema_of(record))
