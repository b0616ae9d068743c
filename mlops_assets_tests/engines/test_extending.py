"""Columns that a function of Python computes: for every row once, in its place, on every engine."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

import mlops_assets.engines.duckdb.engine as duckdb_engine
from mlops_assets.engines.contract import Engine
from mlops_assets.engines.figures import COUNT, count_where, is_null
from mlops_assets.errors import ContractError
from mlops_assets.features.finite import finite_rows, finite_table
from mlops_assets.lakehouse.schema import Column

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Described:
    """How many letters a note has, and in which process that was counted; some notes it refuses."""

    refused: str = ""
    reads: tuple[str, ...] = ("note", "seen")

    @property
    def gives(self) -> "pa.Schema":
        import pyarrow as pa

        return pa.schema([("letters", pa.int64()), ("seen", pa.timestamp("us", "UTC")), ("process", pa.int64())])

    def __call__(self, batch: "pa.Table") -> Mapping[str, Any]:
        import os

        import pyarrow as pa
        import pyarrow.compute as pc

        assert batch.schema == pa.schema([("note", pa.string()), ("seen", pa.timestamp("us", "UTC"))])
        if self.refused and self.refused in batch.column("note").to_pylist():
            raise ContractError(f"the note '{self.refused}'", "another", "take it out")
        letters = pc.cast(pc.utf8_length(batch.column("note")), pa.int64())
        return {"letters": letters, "seen": batch.column("seen"), "process": [os.getpid()] * batch.num_rows}


def rows_of(notes: list[str | None]) -> "pa.Table":
    import pyarrow as pa

    moment = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "place": pa.array(range(len(notes)), pa.int64()),
            "seen": pa.array([1_700_000_000_000_000 + number for number in range(len(notes))], moment),
            "note": pa.array(notes, pa.string()),
        }
    )


def extend(engine: Engine, rows: "pa.Table", function: Described) -> "pa.Table":
    extended: pa.Table = engine.to_arrow(engine.extend(engine.rows(rows), function))
    return extended


@pytest.mark.parametrize("rows_at_once", [1, 3, 1000])
def test_each_row_comes_back_once_in_its_place_with_what_was_computed_for_it(
    engine: Engine, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_engine, "ROWS_AT_ONCE", rows_at_once)
    notes = ["a", None, "", "örö", "ab"] * 2
    rows = rows_of(notes)
    extended = extend(engine, rows, Described())
    assert extended.column_names == ["place", "seen", "note", "letters", "process"]
    assert extended.select(["place", "note", "seen"]).equals(rows.select(["place", "note", "seen"]))
    assert extended.column("letters").to_pylist() == [None if note is None else len(note) for note in notes]


def test_numbers_that_are_not_finite_are_null_in_their_place_and_counted(engine: Engine) -> None:
    import pyarrow as pa

    infinite = float("inf")
    values = [1.5, None, infinite, -infinite, float("nan"), 1.7976931348623157e308]
    rows = pa.table({"a": values, "note": list("abcdef"), "b": [1.0] * 6})
    columns = [Column("a", "double"), Column("note", "string"), Column("b", "double")]
    figures = {"nulls": count_where(is_null("a")), "rows": COUNT}
    found = finite_rows(engine, engine.rows(rows), columns, figures)
    expected = rows.set_column(0, "a", pa.array([1.5, None, None, None, None, values[-1]]))
    assert (engine.to_arrow(found.rows), found.not_finite) == (expected, {"a": 3})
    assert found.measured == {"nulls": 4, "rows": 6}
    assert finite_table(rows) == (expected, {"a": 3})
    again = finite_rows(engine, engine.rows(expected), columns, figures)
    assert (again.not_finite, again.measured["nulls"]) == ({}, 4)


def test_no_rows_have_the_columns_too(engine: Engine) -> None:
    extended = extend(engine, rows_of([]), Described())
    assert extended.num_rows == 0
    assert extended.schema.equals(extend(engine, rows_of(["a"]), Described()).schema)


def test_what_the_function_refuses_is_said_in_its_words(engine: Engine) -> None:
    with pytest.raises(ContractError) as refused:
        extend(engine, rows_of(["a", "b"]), Described(refused="b"))
    assert (refused.value.found, refused.value.expected, refused.value.cure) == (
        "the note 'b'",
        "another",
        "take it out",
    )


def test_what_was_extended_can_be_extended_again_and_measured(engine: Engine) -> None:
    once = engine.extend(engine.rows(rows_of(["a", "bc"])), Described())
    assert engine.measure(engine.extend(once, Described()), {"letters": "sum(letters)"}) == {"letters": 3}


def test_on_spark_it_is_computed_on_the_executors(engine: Engine) -> None:
    import os

    (process,) = set(extend(engine, rows_of(["a", "b"]), Described()).column("process").to_pylist())
    assert (process == os.getpid()) is isinstance(engine, duckdb_engine.DuckDBEngine)
