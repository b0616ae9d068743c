"""Request-time features: one definition, the same values in training, in batch scoring and for a single request."""

from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import ContractError
from mlops_assets.features.request_features import computed_features
from mlops_assets.features.training_sets import build_training_set
from mlops_assets.operations.check import check_project
from mlops_assets_tests.models.test_life_of_a_version import (
    FIRST_TRAINING,
    labelled_anew,
    predictions,
    promote_at,
    score_at,
)
from mlops_assets_tests.small_line import SHOPS, Line, lived_line

pytestmark = pytest.mark.slow
CHANGES = {
    ("forecast/selling.sql", "SELECT shop, day FROM sales"): (
        "SELECT shop, day, price * (1 + units % 3) AS price, 's00' AS sister FROM sales"
    ),
    ("forecast/defs.yaml", "    - {table: shops"): (
        "    - {table: trend, columns: [level], lookback: 1 days, lookup_key: [sister],\n"
        "       rename: {level: sister_level}, default: {level: -1}}\n"
        "    - {table: shops"
    ),
    ("forecast/defs.yaml", "  template:"): (
        "  request:\n"
        "    columns:\n"
        "      price: {type: double, description: Asked price}\n"
        "      sister: {type: string, description: The shop it is compared with}\n"
        "  computed:\n"
        "    - {name: lead, type: double, description: Level above the sister's,"
        " expression: level - sister_level}\n"
        "    - {name: dear, type: boolean, description: Whether it costs much,"
        " expression: price > 2 AND region = 'north'}\n"
        "    - {name: ratio, type: double, description: Level by its lead over the sister's,"
        " expression: level / (level - sister_level)}\n"
        "  template:"
    ),
}


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = lived_line(tmp_path_factory, 14, CHANGES)
    labelled_anew(line)
    return line


@pytest.mark.parametrize(
    ("file", "old", "new", "found"),
    [
        (
            "forecast/defs.yaml",
            "name: dear, type: boolean",
            "name: dear, type: double",
            "computed feature 'dear' of type",
        ),
        (
            "forecast/defs.yaml",
            "expression: level - sister_level",
            "expression: level - region",
            "computed feature 'lead'",
        ),
        ("forecast/selling.sql", "'s00' AS sister", "0 AS sister", "column 'sister' in"),
    ],
)
def test_a_type_that_is_not_as_declared_is_found_before_anything_runs(
    tmp_path: Path, file: str, old: str, new: str, found: str
) -> None:
    line = Line(tmp_path / "line", CHANGES)
    assert check_project(line.platform.project) == []
    line.files.change(file, old, new)
    with pytest.raises(ContractError) as refused:
        check_project(line.files.load())
    assert refused.value.found.startswith(found)


def requests(rows: list[dict[str, Any]], line: Line) -> list[dict[str, Any]]:
    """Rows without what was computed, as an application would know them."""
    computed = {feature.name for feature in line.model.computed}
    return [{name: value for name, value in row.items() if name not in computed} for row in rows]


def test_a_model_sees_what_was_looked_up_asked_and_computed_and_no_mere_key(line: Line) -> None:
    assert line.model.feature_names == ("level", "crowd", "sister_level", "region", "price", "lead", "dear", "ratio")
    assert line.model.categories == ("region", "dear")
    assert [column.name for column in line.model.looked_up_by] == ["sister"]
    assert [*line.model.known_columns] == [0, 2], "what is found by the sister tells nothing of a shop"


def test_training_batch_and_a_single_request_compute_the_same(line: Line) -> None:
    champion = promote_at(line, FIRST_TRAINING)
    scored_at = line.model.schema.calendar.shift(line.period(FIRST_TRAINING), 1).key
    assert score_at(line, scored_at).by.version == champion.version
    trained = build_training_set(line.platform, line.model, line.period(FIRST_TRAINING)).rows.to_pylist()
    scored = predictions(line, scored_at)
    assert {row["shop"] for row in scored} == set(SHOPS)
    for rows in (trained, scored):
        for row, request in zip(rows, requests(rows, line), strict=True):
            assert row["sister"] == "s00"
            assert row["lead"] == row["level"] - row["sister_level"]
            assert row["dear"] is (row["price"] > 2 and row["region"] == "north")
            assert row["ratio"] == (row["level"] / row["lead"] if row["lead"] else None)
            (asked,) = computed_features(line.platform, line.model, [request])
            assert asked == {name: row[name] for name in ("lead", "dear", "ratio")}
    assert any(row["price"] == 4.5 for row in trained)
    own = {row["shop"]: row for row in scored}["s00"]
    assert (own["lead"], own["sister_level"], type(own["prediction"])) == (0.0, own["level"], float)


def test_the_same_day_is_computed_the_same_in_training_and_in_batch(line: Line) -> None:
    from mlops_assets.models.scoring import features_to_score

    period = line.period("2024-01-10")
    names = ["shop", *line.model.feature_names]
    trained = build_training_set(line.platform, line.model, line.period(FIRST_TRAINING)).rows
    batch = features_to_score(line.platform, line.model, period).select(names).sort_by("shop")
    assert batch.to_pylist() == [row for row in trained.select([*names, "day"]).sort_by("shop").to_pylist()
                                 if str(row.pop("day")) == period.key]  # fmt: skip


def test_a_default_stands_where_nothing_was_found(line: Line, tmp_path: Path) -> None:
    copy = line.copy(tmp_path / "copy")
    copy.files.change("forecast/selling.sql", "'s00' AS sister", "'nowhere' AS sister")
    copy.open()
    from mlops_assets.models.scoring import features_to_score

    rows = features_to_score(copy.platform, copy.model, copy.period("2024-01-10")).to_pylist()
    assert {row["sister_level"] for row in rows} == {-1.0}
    assert all(row["lead"] == row["level"] + 1 for row in rows)


def test_a_request_says_what_it_lacks(line: Line) -> None:
    values = {"level": 1.0, "sister_level": None, "price": 3, "region": "north"}
    (made,) = computed_features(line.platform, line.model, [values])
    assert made == {"lead": None, "dear": True, "ratio": None}
    with pytest.raises(ContractError) as missing:
        computed_features(line.platform, line.model, [{name: values[name] for name in ("level", "price", "region")}])
    assert missing.value.found == "no value of 'sister_level', which forecast computes with"
    with pytest.raises(ContractError) as wrong:
        computed_features(line.platform, line.model, [{**values, "price": "dear"}])
    assert wrong.value.found == "the value 'dear' of 'price'"
    assert wrong.value.expected == "a value of type double"
