"""Figures of rows: one pass, the same answer on every engine."""

from datetime import UTC, date, datetime

import pytest

from mlops_assets.engines.contract import Engine, Rows
from mlops_assets.engines.figures import (
    COUNT,
    above,
    below,
    bin_of,
    count_distinct,
    count_where,
    is_finite,
    is_null,
    largest,
    mean,
    most_frequent,
    not_among,
    quantiles,
    smallest,
    value_of,
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


def test_figures_of_rows_come_all_in_one_pass(engine: Engine) -> None:
    figures: list[tuple[str, object]] = [
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
    ]
    found = engine.measure(rows_of(engine), {figure: figure for figure, _ in figures})
    assert found == dict(figures)


def test_the_max_frequent_values_come_together_and_in_their_order(engine: Engine) -> None:
    found = engine.measure(rows_of(engine), {"key": most_frequent(["shop", 'day "of" sale']), "rows": COUNT})
    assert list(found["key"].values()) == ["a", date(2024, 1, 1)]
    assert found["rows"] == 5


def test_values_of_the_rows_that_a_condition_holds_for(engine: Engine) -> None:
    assert sorted(engine.measure(rows_of(engine), {"v": values_where("units", below("units", 2))})["v"]) == [-3, 1]


def test_of_no_rows_a_count_is_0_and_other_figures_are_none(engine: Engine) -> None:
    asked = {"rows": COUNT, "keys": count_distinct(["shop"]), "smallest": smallest("units")}
    assert engine.measure(rows_of(engine, 0), asked) == {"rows": 0, "keys": 0, "smallest": None}


def test_mean_and_quantiles_of_what_is_finite(engine: Engine) -> None:
    asked = {
        "mean": mean("units", below("units", 3)),
        "of prices": mean("price", is_finite("price")),
        "quantiles": quantiles("price", (0.25, 0.5, 1), is_finite("price")),
        "of none": quantiles("price", (0.5,), "false"),
    }
    found = engine.measure(rows_of(engine), asked)
    assert found["mean"] == 0
    assert found["of prices"] == pytest.approx(7.99 / 3)
    assert found["quantiles"] == pytest.approx([0.495, 0.5, 7])
    assert found["of none"] is None


def test_the_max_frequent_values_are_counted_nulls_left_out_and_the_smallest_first_of_equals(engine: Engine) -> None:
    asked = {"shop": value_of("shop"), "day": value_of('day "of" sale'), "seen": value_of("seen")}
    found = engine.frequencies(rows_of(engine), asked, 2)
    assert found == {
        "shop": [("a", 2), ("b", 1)],
        "day": [(date(2024, 1, 1), 2), (date(2024, 1, 2), 1)],
        "seen": [(datetime(2024, 1, day, tzinfo=UTC), 1) for day in (1, 2)],
    }
    assert engine.frequencies(rows_of(engine, 0), {"shop": value_of("shop")}, 2) == {"shop": []}
    assert engine.frequencies(rows_of(engine), {}, 2) == {}


def test_numbers_are_counted_by_the_bin_that_they_lie_in(engine: Engine) -> None:
    asked = {
        "units": bin_of("units", (-3, 1, 2**53)),
        "one": bin_of("units", (-3, 2**53)),
        "price": bin_of("price", (0.49, 0.5, 7), is_finite("price")),
    }
    found = engine.frequencies(rows_of(engine), asked, 20)
    assert found == {"units": [(1, 3), (0, 1)], "one": [(0, 4)], "price": [(1, 2), (0, 1)]}


def test_the_first_rows_are_fetched_in_their_order(engine: Engine) -> None:
    assert engine.first_rows(rows_of(engine), 2).column("units").to_pylist() == [1, 2]
    assert engine.first_rows(rows_of(engine), 9).column("units").to_pylist() == [1, 2, -3, 2**53 + 1, None]
