"""What is measured of a period: as SciPy and Evidently measure it, whatever the unit, order and type of the values."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon  # type: ignore[import-untyped]
from scipy.stats import wasserstein_distance  # type: ignore[import-untyped]

from mlops_assets.errors import ContractError
from mlops_assets.monitoring.period_statistics import (
    CONSTANT,
    DISTANCE,
    NEW,
    NULLS,
    ROWS,
    TABLE,
    VANISHED,
    against,
    against_rest,
)
from mlops_assets.monitoring.summaries import MAX_LEVELS, Summaries, read_summaries, summarize, write_summaries
from mlops_assets.storage.opening import storage_at
from mlops_assets.testing import SyntheticPeriods


def numbers(*periods: list[Any], kind: pa.DataType | None = None) -> Summaries:
    keys = [f"2001-{place + 1:02}" for place, values in enumerate(periods) for _ in values]
    values = pa.array([value for part in periods for value in part], kind)
    return summarize(pa.table({"x": values}), keys, numbers=["x"], categories=[])


def categories(*periods: list[Any], kind: pa.DataType | None = None) -> Summaries:
    keys = [f"2001-{place + 1:02}" for place, values in enumerate(periods) for _ in values]
    values = pa.array([value for part in periods for value in part], kind)
    return summarize(pa.table({"x": values}), keys, numbers=[], categories=["x"])


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e6])
def test_the_distance_of_numbers_is_wassersteins_by_the_deviation_of_the_reference(unit: float) -> None:
    random = np.random.default_rng(0)
    before, now = random.normal(size=1000) * unit, (random.normal(size=500) * 1.5 + 0.3) * unit
    found = against(numbers(list(before)), numbers(list(now)))["x", DISTANCE]
    assert found[0] == pytest.approx(wasserstein_distance(before, now) / before.std(), rel=1e-9)


def test_of_more_values_the_distance_is_that_of_their_quantiles() -> None:
    random = np.random.default_rng(1)
    before, now = random.normal(size=70_001), random.normal(size=33_333) + 0.2
    found = against(numbers(list(before)), numbers(list(now)))["x", DISTANCE]
    assert found[0] == pytest.approx(wasserstein_distance(before, now) / before.std(), abs=2e-3)


def test_the_distance_of_levels_is_that_of_jensen_and_shannon() -> None:
    before, now = ["a"] * 50 + ["b"] * 30 + ["c"] * 20, ["a"] * 5 + ["b"] * 3 + ["d"] * 2
    found = against(categories(before), categories(now))
    assert found["x", DISTANCE][0] == pytest.approx(jensenshannon([0.5, 0.3, 0.2], [5 / 8, 3 / 8, 0])), "of known ones"
    assert found["x", NEW][0] == pytest.approx(0.2)
    assert found["x", VANISHED][0] == pytest.approx(0.2)


@pytest.mark.slow
def test_evidently_measures_the_same() -> None:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    random = np.random.default_rng(2)
    before = pd.DataFrame({"x": random.normal(size=1000), "level": random.choice(list("abc"), 1000)})
    now = pd.DataFrame({"x": random.normal(size=500) + 0.4, "level": random.choice(list("aab"), 500)})
    roles = DataDefinition(numerical_columns=["x"], categorical_columns=["level"])
    methods = {"x": "wasserstein", "level": "jensenshannon"}
    report = Report([ValueDrift(column=name, method=method) for name, method in methods.items()])
    told = report.run(*(Dataset.from_pandas(frame, roles) for frame in (now, before))).dict()["metrics"]

    sides = [pa.Table.from_pandas(frame, preserve_index=False) for frame in (before, now)]
    ours = against(
        *(summarize(side, ["2001-01"] * side.num_rows, numbers=["x"], categories=["level"]) for side in sides)
    )
    assert [float(metric["value"]) for metric in told] == pytest.approx(
        [ours["x", DISTANCE][0], ours["level", DISTANCE][0]], rel=1e-6
    )


def test_leaving_a_period_out_is_to_compare_it_with_the_others() -> None:
    everything = SyntheticPeriods(("x0", "x1"), ("level",), seed=3).monitored(range(6)).summaries
    found = against_rest(everything)
    for place in range(6):
        alone = against(everything.at([other for other in range(6) if other != place]), everything.at([place]))
        assert found.keys() == alone.keys()
        for key, values in alone.items():
            assert found[key][place] == pytest.approx(values[0], abs=2e-3, nan_ok=True), key


@given(st.lists(st.one_of(st.none(), st.floats(width=32), st.just(float("nan"))), min_size=1), st.randoms())
def test_the_order_of_rows_does_not_matter(values: list[float | None], random: Any) -> None:
    shuffled = list(values)
    random.shuffle(shuffled)
    reference = numbers([0.0, 1.0, 2.0])
    one, other = (against(reference, numbers(side, kind=pa.float64())) for side in (values, shuffled))
    for key, found in one.items():
        np.testing.assert_array_equal(found, other[key])


def test_what_is_not_finite_counts_as_null_and_a_column_of_nulls_has_no_distance() -> None:
    found = against(numbers([1.0, 2.0, 3.0, 4.0]), numbers([1.0, None, float("nan"), float("inf")]))
    assert found["x", NULLS][0] == 0.75
    empty = against(numbers([1.0, 2.0]), numbers([None, None], kind=pa.float64()))
    assert empty["x", NULLS][0] == 1.0 and np.isnan(empty["x", DISTANCE][0])
    assert np.isnan(against(numbers([None], kind=pa.float64()), numbers([1.0]))["x", DISTANCE][0])


def test_a_constant_that_changes_is_measured_by_the_share_of_values_that_are_another() -> None:
    assert against(numbers([7.0] * 5), numbers([7.0, 7.0, 7.0, 8.0]))["x", CONSTANT][0] == 0.25
    assert np.isnan(against(numbers([7.0, 8.0]), numbers([7.0]))["x", CONSTANT][0])
    for one, other in ((0.1, 0.2), (1e9 + 1, 1e9 + 2)):
        found = against_rest(numbers([one] * 3, [one] * 4, [other] * 2))["x", CONSTANT]
        np.testing.assert_array_equal(found, [np.nan, np.nan, 1.0])


def test_rows_are_compared_with_those_of_other_periods_by_their_ratio() -> None:
    found = against_rest(numbers([1.0] * 10, [1.0] * 10, [1.0] * 20))[TABLE, ROWS]
    assert found == pytest.approx([np.log(1.5), np.log(1.5), np.log(2)])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([1, 2, 2], pa.int64()), pa.array([1.0, 2.0, 2.0])),
        (pa.array([True, False, False]), pa.array([1.0, 0.0, 0.0])),
        (pa.array([Decimal("0.10"), Decimal("2.50")]), pa.array([0.1, 2.5])),
    ],
)
def test_a_value_is_the_same_in_any_type_that_holds_it(one: pa.Array, other: pa.Array) -> None:
    def summarized(values: pa.Array, **kinds: Any) -> Summaries:
        return summarize(pa.table({"x": values}), ["2001-01"] * len(values), **kinds)

    as_numbers = [summarized(values, numbers=["x"], categories=[]).numbers["x"].points[0] for values in (one, other)]
    np.testing.assert_array_equal(as_numbers[0], as_numbers[1])
    if not pa.types.is_boolean(one.type):
        both = [summarized(values, numbers=[], categories=["x"]) for values in (one, other)]
        assert both[0].categories["x"].levels == both[1].categories["x"].levels


def test_an_empty_text_is_a_level_and_null_is_none() -> None:
    found = categories(["", "", None, "a"]).categories["x"]
    assert (found.levels, found.counts.tolist(), found.nulls.tolist()) == (("", "a"), [[2, 1]], [1])


def test_of_very_many_levels_the_rarest_are_one_and_no_new_level_is_told() -> None:
    many = [f"{number}" for number in range(MAX_LEVELS + 50)]
    found = categories(["often"] * 10 + many)
    (column,) = found.categories.values()
    assert (len(column.levels), column.all_levels) == (MAX_LEVELS + 1, False)
    assert int(column.counts.sum()) == len(many) + 10
    assert ("x", NEW) not in against(found, categories(["often"]))


@pytest.mark.parametrize(
    ("column", "kinds", "words"),
    [
        ([1.0], {"numbers": ["y"], "categories": []}, "rows without the column y"),
        (["a"], {"numbers": ["x"], "categories": []}, "column 'x' of type string"),
        ([[1]], {"numbers": [], "categories": ["x"]}, "column 'x' of type list<item: int64>"),
    ],
)
def test_columns_that_cannot_be_measured_are_refused(column: list[Any], kinds: dict[str, Any], words: str) -> None:
    with pytest.raises(ContractError) as refused:
        summarize(pa.table({"x": column}), ["2001-01"], **kinds)
    assert refused.value.found == words


def test_what_was_kept_is_read_as_it_was_and_what_is_damaged_is_made_anew(tmp_path: Path) -> None:
    file, kept = (
        storage_at(tmp_path / "reference.npz"),
        SyntheticPeriods(("x0", "x1"), ("level",), seed=4).monitored(range(4)).summaries,
    )
    assert read_summaries(file) is None
    write_summaries(file, kept)
    read = read_summaries(file)
    assert read is not None and read.periods == kept.periods
    for key, values in against_rest(kept).items():
        np.testing.assert_array_equal(against_rest(read)[key], values)
    odd = categories(["a\N{NULL}"[:1], "ü", ""], [])
    write_summaries(file, odd)
    assert (read := read_summaries(file)) and read.categories["x"].levels == odd.categories["x"].levels
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"", b"x" * 100, whole[:40] + b"\xff" * 40 + whole[80:]):
        file.write(damaged)
        assert read_summaries(file) is None
