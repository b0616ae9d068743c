"""Segments: what moved in one of many, where no column as a whole did."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from mlops_assets.monitoring.segments import SegmentNull
from mlops_assets_tests.monitoring.worlds import month

CLASSES = [f"M{number:02}" for number in range(40)]


def rows(number: int, per_class: int = 12) -> dict[str, np.ndarray]:
    """A month: each class has a cost of its own, a season, and months of its own."""
    random = np.random.default_rng([7, number])
    names = np.repeat(CLASSES, per_class)
    own = np.repeat(np.arange(40.0), per_class)
    level = np.repeat(random.normal(size=40) * 0.3, per_class)
    cost = 10 + own + np.sin(number / 2) + level + random.normal(size=len(names))
    return {"class": names.astype(object), "cost": cost, "volume": random.gamma(20, size=len(names))}


def table(parts: Sequence[dict[str, np.ndarray]]) -> pa.Table:
    return pa.table(
        {name: pa.concat_arrays([pa.array(part[name], from_pandas=True) for part in parts]) for name in parts[0]}
    )


def null(numbers: Sequence[int], by: Sequence[str] = ("class",), rate: float = 0.05) -> SegmentNull:
    parts = [rows(number) for number in numbers]
    keys = [month(number) for number, part in zip(numbers, parts, strict=True) for _ in part["cost"]]
    return SegmentNull.of(table(parts), keys, by=by, numbers=["cost", "volume"], categories=["class"], rate=rate)


def moved(number: int, by: float, segment: str = "M07") -> pa.Table:
    part = rows(number)
    return table([{**part, "cost": part["cost"] + by * (part["class"] == segment)}])


@pytest.fixture(scope="module")
def usual() -> SegmentNull:
    return null(range(48))


def test_a_segment_that_moved_is_named_with_what_is_usual_in_it(usual: SegmentNull) -> None:
    for number in range(48, 54):
        first = usual.findings(moved(number, 5.0))[0]
        assert (first.by, first.segment, first.column, first.statistic) == ("class", "M07", "cost", "mean")
        assert first.score > usual.bar and first.rows == 12
        assert first.usual == pytest.approx(17, abs=1) and first.value == pytest.approx(22, abs=2.5)


def test_months_in_which_nothing_moved_have_findings_as_rarely_as_is_told(usual: SegmentNull) -> None:
    assert usual.periods == 48
    found = [bool(usual.findings(moved(number, 0.0))) for number in range(48, 128)]
    assert np.mean(found) <= 0.15
    assert null(range(48), rate=0.5).bar < usual.bar


def test_nulls_of_one_segment_are_found(usual: SegmentNull) -> None:
    part = rows(50)
    part["cost"] = np.where((part["class"] == "M03") & (np.arange(len(part["cost"])) % 2 == 0), np.nan, part["cost"])
    first = usual.findings(table([part]))[0]
    assert (first.segment, first.column, first.statistic, first.value) == ("M03", "cost", "null share", 0.5)


def test_numbers_cut_rows_between_the_quartiles_of_the_reference() -> None:
    by_volume = null(range(48), by=["volume"])
    part = rows(50)
    quartile = np.quantile(np.concatenate([rows(number)["volume"] for number in range(48)]), 0.75)
    part["cost"] = np.where(part["volume"] > quartile, part["cost"] + 30, part["cost"])
    first = by_volume.findings(table([part]))[0]
    assert (first.by, first.segment, first.column) == ("volume", "fourth quartile", "cost")


def test_a_segment_of_few_rows_or_a_short_past_is_not_judged(usual: SegmentNull) -> None:
    part = rows(50)
    few = {name: values[(part["class"] != "M07") | (np.arange(480) % 12 == 0)] for name, values in part.items()}
    few["cost"] = few["cost"] + 50 * (few["class"] == "M07")
    assert not [one for one in usual.findings(table([few])) if one.segment == "M07"]
    assert np.isnan(null(range(23)).bar) and null(range(23)).findings(moved(50, 50.0)) == []


def test_a_segment_that_the_past_lacks_and_rows_without_one_are_left_out(usual: SegmentNull) -> None:
    part = rows(50)
    part["class"][:20] = ["new"] * 10 + [None] * 10
    part["cost"][:20] += 100
    assert {one.segment for one in usual.findings(table([part]))} <= {"M01", "M00"}
