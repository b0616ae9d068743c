"""Figures of rows: one pass, the same answer on every engine."""

from datetime import UTC, date, datetime

import pytest

from mlops_assets.engines.contract import Engine, Rows
from mlops_assets.engines.figures import (
    COUNT,
    above,
    below,
    count_distinct,
    count_where,
    is_null,
    largest,
    most_frequent,
    not_among,
    smallest,
    values_where,
)


def rows_of(engine: Engine, count: int = 5) -> Rows:
    """The first of five rows."""
    import pyarrow as pa

    days = [date(2024, 1, 1)] * 2 + [date(2024, 1, 2), None, None]
    table = pa.table(
        {
            "shop": ["a", "a", "b", "it's", None],
            'day "of" sale': pa.array(days, pa.date32()),
            "units": pa.array([1, 2, -3, 2**53 + 1, None], pa.int64()),
            "price": pa.array([0.5, 0.49, float("nan"), None, 7.0]),
            "seen": pa.array([datetime(2024, 1, day, tzinfo=UTC) for day in range(1, 6)], pa.timestamp("us", "UTC")),
        }
    )
    return engine.rows(table.slice(0, count))


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        (COUNT, 5),
        (count_where(is_null("units")), 1),
        (count_where(below("units", 0)), 1),
        (count_where(above("units", 2**53)), 1),
        (count_where(below("price", 0.5)), 1),
        (count_where(above("price", 1.5)), 2),
        (smallest("units"), -3),
        (largest("price", below("price", 0.5)), 0.49),
        (smallest("seen", is_null("shop")), datetime(2024, 1, 5, tzinfo=UTC)),
        (smallest("units", below("units", -10)), None),
        (count_where(not_among("shop", ["a", "it's"])), 1),
        (count_distinct(["shop", 'day "of" sale']), 4),
        (count_distinct(["shop"]), 4),
        (values_where("units", below("units", -10)), None),
    ],
)
def test_a_figure_of_rows(engine: Engine, figure: str, value: object) -> None:
    assert engine.measure(rows_of(engine), {"asked": figure}) == {"asked": value}


def test_the_most_frequent_values_come_together_and_in_their_order(engine: Engine) -> None:
    found = engine.measure(rows_of(engine), {"key": most_frequent(["shop", 'day "of" sale']), "rows": COUNT})
    assert list(found["key"].values()) == ["a", date(2024, 1, 1)]
    assert found["rows"] == 5


def test_values_of_the_rows_that_a_condition_holds_for(engine: Engine) -> None:
    assert sorted(engine.measure(rows_of(engine), {"v": values_where("units", below("units", 2))})["v"]) == [-3, 1]


def test_of_no_rows_a_count_is_0_and_other_figures_are_none(engine: Engine) -> None:
    asked = {"rows": COUNT, "keys": count_distinct(["shop"]), "smallest": smallest("units")}
    assert engine.measure(rows_of(engine, 0), asked) == {"rows": 0, "keys": 0, "smallest": None}
