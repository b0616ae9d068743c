"""What a fit is shown over HTTP is what it is shown in training and in batch, value by value, and so it predicts."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Any

import numpy as np  # noqa: TID253
import pandas as pd  # noqa: TID253
import pyarrow as pa  # noqa: TID253
import pytest
import skops.io  # noqa: TID253
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.lakehouse.schema import Column, arrow_type
from mlops_assets.models.blocks import in_blocks
from mlops_assets.models.fitting import feature_frame
from mlops_assets.models.frames import Frames
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.templates import build_estimator, find_template
from mlops_assets_tests.project.small_project import SmallProject

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=3),
    "boolean": st.booleans(),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(),
    "decimal(38,2)": st.integers(1 - 10**38, 10**38 - 1).map(lambda cents: Decimal(cents).scaleb(-2, Context(prec=38))),
}
COLUMNS = tuple(
    Column(f"{kind} {type_}", type_, kind=kind)
    for type_ in VALUES
    for kind in ("category", "number")
    if (type_, kind) != ("string", "number")
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> ModelDefinition:
    return SmallProject(tmp_path_factory.mktemp("project")).load().models["forecast"]


def of_the_engine(model: ModelDefinition, rows: list[dict[str, Any]]) -> pd.DataFrame:
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in model.features])
    return feature_frame(model, pa.Table.from_pylist(rows, schema))


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert list(one.columns) == list(other.columns)
    assert list(one.dtypes) == list(other.dtypes)
    for name in one:
        for left, right in zip(one[name].tolist(), other[name].tolist(), strict=True):
            assert type(left) is type(right)
            assert left == right or (left != left and right != right)


@given(st.data())
def test_a_frame_of_rows_is_the_one_that_the_engine_gives(model: ModelDefinition, data: st.DataObject) -> None:
    of_all = replace(model, features=COLUMNS)
    row = st.fixed_dictionaries({column.name: st.none() | VALUES[column.type] for column in COLUMNS})
    rows = data.draw(st.lists(row, min_size=1, max_size=4))
    frames = Frames(of_all)
    same(frames.frame([frames.columns(rows)]), of_the_engine(of_all, rows))


def test_an_estimator_that_writes_into_its_frame_leaves_the_rows_as_they_were(model: ModelDefinition) -> None:
    of_all = replace(model, features=(Column("level", "double", kind="number"),))
    rows = pa.table({"level": [1.0, 2.0]})
    frame = feature_frame(of_all, rows)
    frame["level"].to_numpy()[:] = 0.0
    assert rows["level"].to_pylist() == [1.0, 2.0]


def test_times_are_as_the_engine_gives_them_too(model: ModelDefinition) -> None:
    columns = (Column("day", "date", kind="category"), Column("at", "timestamp", kind="category"))
    of_all = replace(model, features=columns)
    rows: list[dict[str, Any]] = [
        {"day": date(2024, 1, 2), "at": datetime(2024, 1, 2, 3, tzinfo=UTC)},
        {"day": None, "at": None},
    ]
    frames = Frames(of_all)
    same(frames.frame([frames.columns(rows)]), of_the_engine(of_all, rows))


def test_what_other_requests_hold_changes_nothing_in_the_columns_of_one(model: ModelDefinition) -> None:
    of_one = replace(model, features=(Column("whole", "bigint", kind="category"),))
    frames = Frames(of_one)
    parts = [frames.columns([{"whole": 2**60 + 1}]), frames.columns([{"whole": None}, {"whole": 3}])]
    assert frames.frame(parts)["whole"].tolist() == [2**60 + 1, None, 3]


def test_whole_numbers_of_19_digits_are_levels_of_their_own_whatever_stands_beside_them(model: ModelDefinition) -> None:
    of_one = replace(model, features=(Column("account", "bigint", kind="category"),))
    accounts = [2**53, 2**53 + 1, 2**53 + 2, 2**53 + 3, -(2**63), 2**63 - 1]
    learned = pa.table({"account": pa.array([*accounts, None] * 30, pa.int64())})
    truth = np.arange(learned.num_rows) % 7 * 100.0
    frames = Frames(of_one)
    for name in ("ridge_regressor", "random_forest_regressor", "hist_gradient_boosting_regressor"):
        fit = build_estimator(find_template(name, 1), {}, categories=["account"], numbers=[], seed=1)
        fit.fit(feature_frame(of_one, learned), truth)
        fit = skops.io.loads(skops.io.dumps(fit), trusted=list(find_template(name, 1).trusted_types))
        for number, account in enumerate(accounts):
            alone = fit.predict(of_the_engine(of_one, [{"account": account}]))[0]
            assert alone == pytest.approx(number * 100, abs=30)
            for beside in ([None], [2**53 + 2, None]):
                rows = [{"account": value} for value in (account, *beside)]
                assert fit.predict(of_the_engine(of_one, rows))[0] == alone
                assert fit.predict(frames.frame([frames.columns(rows)]))[0] == alone


def test_levels_that_were_learned_as_floats_are_those_of_whole_numbers(model: ModelDefinition) -> None:
    of_one = replace(model, features=(Column("account", "bigint", kind="category"),))
    learned = pd.DataFrame({"account": pd.Series([1.0, 2.0, None] * 20, dtype=object)})
    fit = build_estimator(find_template("ridge_regressor", 1), {}, categories=["account"], numbers=[], seed=1)
    fit.fit(learned, np.arange(60) % 3 * 100.0)
    assert fit.predict(of_the_engine(of_one, [{"account": 2}])) == fit.predict(learned)[1]


@pytest.mark.parametrize("name", ["ridge_regressor", "hist_gradient_boosting_regressor"])
def test_a_row_is_predicted_the_same_in_whatever_frame_it_stands(name: str) -> None:
    random = np.random.default_rng(7)
    numbers = [f"n{number}" for number in range(15)]
    rows = pd.DataFrame({column: random.normal(size=400) for column in numbers})
    rows["level"] = np.array(["a", "b", "c"], object)[random.integers(0, 3, 400)]
    template = find_template(name, 1)
    fit = build_estimator(template, {}, categories=["level"], numbers=numbers, seed=1)
    fit.fit(rows, random.normal(size=400) + rows["n1"])
    whole = in_blocks(fit.predict, rows)
    for together in (1, 3, 13, 64, 65):
        for first in range(0, 33, together):
            some = rows.iloc[first : first + together]
            assert in_blocks(fit.predict, some).tolist() == whole[first : first + together].tolist()
