"""Lookups as of a time: one answer for each label, the oracle's, on every engine."""

from datetime import timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.engines.contract import Engine
from mlops_assets.lakehouse.periods import Duration
from mlops_assets_tests.engines import contract_pack as pack
from mlops_assets_tests.engines.contract_pack import Tables

lookbacks, seeds = st.sampled_from(pack.LOOKBACKS), st.integers(0, 2**32)
lags = st.lists(st.sampled_from(pack.LAGS), min_size=1, max_size=4, unique=True)


@given(pack.sales_states(), lookbacks, lags, st.data())
@settings(max_examples=60)
def test_a_few_labels_find_what_the_oracle_finds(
    engine: Engine,
    tables: Tables,
    states: list[dict[str, Any]],
    lookback: Duration | None,
    lags: list[timedelta],
    data: st.DataObject,
) -> None:
    candidates = st.sampled_from(pack.labels_with_lags(states, lookback, lags))
    labels = data.draw(st.lists(candidates, min_size=1, max_size=3))
    pack.assert_looked_up_as_the_oracle_does(engine, tables.of(states), states, labels, lookback)


@given(pack.sales_states(), lookbacks, seeds)
@settings(max_examples=40)
def test_a_few_labels_asked_at_any_time_find_what_the_oracle_finds(
    engine: Engine, tables: Tables, states: list[dict[str, Any]], lookback: Duration | None, seed: int
) -> None:
    labels = pack.shuffled(pack.labels_at_any_time(states, lookback), seed, least=20, most=30)
    pack.assert_looked_up_as_the_oracle_does(engine, tables.of(states), states, labels, lookback)


@given(pack.sales_states(), lookbacks, lags, seeds)
@settings(max_examples=60)
def test_many_labels_find_what_the_oracle_finds(
    engine: Engine,
    tables: Tables,
    states: list[dict[str, Any]],
    lookback: Duration | None,
    lags: list[timedelta],
    seed: int,
) -> None:
    labels = pack.shuffled(pack.labels_with_lags(states, lookback, lags), seed, least=520, most=1000)
    assert len(labels) >= 500
    pack.assert_looked_up_as_the_oracle_does(engine, tables.of(states), states, labels, lookback)


@given(pack.sales_states(), lookbacks, seeds)
@settings(max_examples=40)
def test_many_labels_asked_at_any_time_find_what_the_oracle_finds(
    engine: Engine, tables: Tables, states: list[dict[str, Any]], lookback: Duration | None, seed: int
) -> None:
    labels = pack.shuffled(pack.labels_at_any_time(states, lookback), seed, least=520, most=1000)
    pack.assert_looked_up_as_the_oracle_does(engine, tables.of(states), states, labels, lookback)
