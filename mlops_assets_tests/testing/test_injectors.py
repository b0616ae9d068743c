"""Injectors: each changes what it says, and nothing else."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import DefinitionError
from mlops_assets.testing import (
    concept_change,
    covariate_shift,
    duplicated_rows,
    label_shift,
    late_rows,
    new_level,
    nulls,
    unit_change,
    within,
)

BEFORE = datetime(2024, 1, 1, tzinfo=UTC)
EACH = {  # with the columns that it changes
    "shift": (covariate_shift("cost", 2.0), {"cost"}),
    "shift of whole numbers": (covariate_shift("units", 2.0), {"units"}),
    "unit": (unit_change("cost"), {"cost"}),
    "nulls": (nulls("cost", 0.5), {"cost"}),
    "level": (new_level("region", 0.5), {"region"}),
    "concept": (concept_change("label", 1.0), {"label"}),
    "late": (late_rows(0.5), {"known_at"}),
    "unit within a segment": (within(unit_change("cost"), "region", "north"), {"cost"}),
}
EVERY = [*(injector for injector, _ in EACH.values()), duplicated_rows(0.5), label_shift("label", 0.5)]


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    count = draw(st.integers(2, 12))

    def some(values: st.SearchStrategy[object]) -> Sequence[object]:
        return draw(st.lists(values, min_size=count, max_size=count))

    costs = st.none() | st.floats(-1e6, 1e6, allow_subnormal=False)
    return pa.table(
        {
            "row": pa.array(range(count), pa.int64()),
            "cost": pa.array(some(costs), pa.float64()),
            "units": pa.array(some(st.none() | st.integers(-1000, 1000)), pa.int64()),
            "region": pa.array(some(st.sampled_from(["north", "south", None])), pa.string()),
            "label": pa.array([0.0, 1.0, *some(st.floats(0, 1))[2:]], pa.float64()),
            "known_at": pa.array([BEFORE] * count, pa.timestamp("us", "UTC")),
        }
    )


@settings(max_examples=30)
@given(rows=tables(), seed=st.integers(0, 99))
def test_only_the_column_that_is_named_changes_and_keeps_its_type(rows: pa.Table, seed: int) -> None:
    for injector, changed in EACH.values():
        after = injector(rows, seed)
        assert after.schema.equals(rows.schema)
        others = [column for column in rows.column_names if column not in changed]
        assert after.select(others).equals(rows.select(others)), injector.words


@settings(max_examples=10)
@given(rows=tables(), seed=st.integers(0, 99))
def test_the_same_seed_gives_the_same_rows_in_arrow_and_in_pandas(rows: pa.Table, seed: int) -> None:
    frame = rows.to_pandas(types_mapper=pd.ArrowDtype).set_index(pd.Index(range(100, 100 + rows.num_rows)))
    kept = frame.copy()
    for injector in EVERY:
        after, in_pandas = injector(rows, seed), injector(frame, seed)
        assert after.equals(injector(rows, seed))
        assert in_pandas.index.tolist() == [100 + row for row in after.column("row").to_pylist()]
        for name in after.column_names:
            again = pa.array(in_pandas[name], after.schema.field(name).type, from_pandas=True)
            assert again.to_pylist() == after.column(name).to_pylist(), (injector.words, name)
    assert frame.equals(kept)


@settings(max_examples=30)
@given(rows=tables(), seed=st.integers(0, 99))
def test_what_each_says_is_what_it_does(rows: pa.Table, seed: int) -> None:
    cost, count = rows.column("cost"), rows.num_rows
    known = np.array([value for value in cost.to_pylist() if value is not None])
    shifted = EACH["shift"][0](rows, seed).column("cost")
    assert shifted.null_count == cost.null_count
    if len(known):
        assert np.allclose(shifted.drop_null().to_numpy(), known + 2 * known.std())
    assert EACH["unit"][0](rows, seed).column("cost").equals(pc.multiply(cost, 100.0))
    assert EACH["nulls"][0](rows, seed).column("cost").null_count >= round(count / 2)
    levels = EACH["level"][0](rows, seed).column("region").to_pylist()
    assert levels.count("a new level") == round(count / 2)
    assert sorted(EACH["concept"][0](rows, seed).column("label").to_pylist()) == sorted(rows["label"].to_pylist())
    late = EACH["late"][0](rows, seed).column("known_at").to_pylist()
    assert sorted(set(late)) == [BEFORE, BEFORE + timedelta(days=1)] and late.count(BEFORE) == count - round(count / 2)
    inside = pc.fill_null(pc.equal(rows["region"], "north"), False)
    by_segment = EACH["unit within a segment"][0](rows, seed)["cost"]
    assert by_segment.equals(pc.if_else(inside, pc.multiply(cost, 100.0), cost))


@settings(max_examples=30)
@given(rows=tables(), seed=st.integers(0, 99))
def test_rows_that_are_repeated_or_drawn_anew_are_whole_rows_that_were_there(rows: pa.Table, seed: int) -> None:
    twice = duplicated_rows(0.5)(rows, seed)
    assert twice.slice(0, rows.num_rows).equals(rows) and twice.num_rows == rows.num_rows + round(rows.num_rows / 2)
    drawn = label_shift("label", 0.5)(rows, seed)
    assert drawn.num_rows == rows.num_rows
    for after in (twice, drawn):
        assert after.equals(rows.take(after.column("row")))
    above = pc.greater(drawn["label"], float(np.median(rows["label"].to_numpy())))
    assert pc.sum(above).as_py() == round(rows.num_rows / 2)


def test_a_label_that_no_row_has_and_a_column_that_is_not_there_are_refused() -> None:
    rows = pa.table({"label": ["a", "a"]})
    with pytest.raises(DefinitionError) as refused:
        label_shift("label", level="b")(rows)
    assert refused.value.found == "rows of one kind of 'label' alone"
    with pytest.raises(DefinitionError) as refused:
        nulls("labels")(rows)
    assert refused.value.found == "column 'labels', which the rows do not have"
    assert "label" in refused.value.cure
