"""Records of any kind in the lakehouse: frozen dataclasses with a ``period`` that tells them apart, a row each."""

from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, TypeVar

from mlops_assets.lakehouse.tables import PeriodTable

Record = TypeVar("Record")


def write_record(table: PeriodTable, record: Any) -> str:
    """Write a record as its period's row; returns the data version."""
    import pyarrow as pa

    values = asdict(record)
    period = values.pop("period")
    types: dict[Any, pa.DataType] = {
        datetime: pa.timestamp("us", "UTC"),
        str: pa.string(),
        float: pa.float64(),
        int: pa.int64(),
        bool: pa.bool_(),
    }
    schema = pa.schema([(item.name, types[item.type]) for item in fields(record) if item.name != "period"])
    return table.write(period, pa.Table.from_pylist([values], schema=schema))


def read_records(table: PeriodTable, kind: type[Record]) -> list[Record]:
    """All records of a kind, in the order of their periods."""
    rows = table.read()
    if rows is None:
        return []
    return sorted((kind(**row) for row in rows.to_pylist()), key=lambda record: record.period)  # type: ignore[attr-defined]
