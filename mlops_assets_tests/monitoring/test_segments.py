"""Segments: what moved in one of many, where no column as a whole did."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.project.model_attributes import DriftChoice
from mlops_assets.testing import (
    Injector,
    Monitored,
    SyntheticPeriods,
    assert_detects_drift,
    assert_false_alarm_rate,
    nulls,
    within,
)

CLASSES = [f"M{number:02}" for number in range(40)]
PER_CLASS = 12
BY_CLASS = DriftChoice(segments=("class",))


def month(place: int) -> pa.Table:
    """Each class has a cost of its own, a season, and months of its own."""
    random = np.random.default_rng([7, place])
    own, level = np.repeat(np.arange(40.0), PER_CLASS), np.repeat(random.normal(size=40) * 0.3, PER_CLASS)
    cost = 10 + own + np.sin(place / 2) + level + random.normal(size=len(own))
    names = pa.array(np.repeat(CLASSES, PER_CLASS).tolist(), pa.string())
    return pa.table({"class": names, "cost": cost, "volume": random.gamma(20, size=len(own))})


def past(count: int, drift: DriftChoice = BY_CLASS) -> Monitored:
    months = SyntheticPeriods(("cost", "volume"), ("class",))
    keys = [months.key(place) for place in range(count) for _ in range(40 * PER_CLASS)]
    rows = pa.concat_tables([month(place) for place in range(count)])
    return replace(months.monitored(range(1), drift), rows=rows, periods=keys)


def more(by: float) -> Injector:
    """The cost is higher by so much."""

    def change(rows: pa.Table, random: np.random.Generator) -> pa.Table:
        return rows.set_column(rows.column_names.index("cost"), "cost", pa.array(rows["cost"].to_numpy() + by))

    return Injector(f"{by:g} more", ("cost",), change)


@pytest.fixture(scope="module")
def usual() -> Monitored:
    return past(48)


def test_a_segment_that_moved_is_found_and_named_with_what_is_usual_in_it(usual: Monitored) -> None:
    moved = within(more(5.0), "class", "M07")
    assert_detects_drift(usual, moved, power=0.9, trials=22, by_segment=True)
    for place in range(48, 54):
        first = usual.findings(moved(month(place)))[0]
        assert (first.by, first.segment, first.column, first.statistic) == ("class", "M07", "cost", "mean")
        assert first.rows == 12
        assert first.usual == pytest.approx(17, abs=1) and first.value == pytest.approx(22, abs=2.5)


def test_months_in_which_nothing_moved_have_findings_as_rarely_as_is_told(usual: Monitored) -> None:
    assert_false_alarm_rate(usual, max_rate=0.1, by_segment=True)


def test_a_higher_rate_of_false_alarms_finds_more(usual: Monitored) -> None:
    often = replace(usual, drift=replace(BY_CLASS, false_alarms=0.5))
    found = [[bool(one.findings(month(place))) for place in range(48, 68)] for one in (usual, often)]
    assert sum(found[1]) > sum(found[0])


def test_nulls_of_one_segment_are_found(usual: Monitored) -> None:
    first = usual.findings(within(nulls("cost"), "class", "M03")(month(50)))[0]
    assert (first.segment, first.column, first.statistic, first.value) == ("M03", "cost", "null share", 0.5)


def test_numbers_cut_rows_between_the_quartiles_of_the_reference(usual: Monitored) -> None:
    by_volume = replace(usual, drift=DriftChoice(segments=("volume",)))
    highest = month(50)["volume"].to_numpy() > np.quantile(usual.rows["volume"].to_numpy(), 0.75)
    rows = month(50).append_column("highest", pa.array(highest))
    first = by_volume.findings(within(more(30.0), "highest", True)(rows))[0]
    assert (first.by, first.segment, first.column) == ("volume", "fourth quartile", "cost")


def test_a_segment_of_few_rows_or_a_short_past_is_not_judged(usual: Monitored) -> None:
    rows = month(50)
    kept = [place for place, name in enumerate(rows["class"].to_pylist()) if name != "M07" or place % 12 == 0]
    few = within(more(50.0), "class", "M07")(rows.take(kept))
    assert not [one for one in usual.findings(few) if one.segment == "M07"]
    assert past(23).findings(within(more(50.0), "class", "M07")(rows)) == []
    with pytest.raises(AssertionError, match="segments are not judged: none declared, or too few periods"):
        assert_detects_drift(past(24), more(50.0), by_segment=True)


def test_a_segment_that_the_past_lacks_and_rows_without_one_are_left_out(usual: Monitored) -> None:
    rows = month(50)
    names = pa.array(["new"] * 10 + [None] * 10 + rows["class"].to_pylist()[20:], pa.string())
    strange = rows.set_column(0, "class", names)
    changed = more(100.0)(strange.slice(0, 20))
    found = usual.findings(pa.concat_tables([changed, strange.slice(20)]))
    assert {one.segment for one in found} <= {"M01", "M00"}
