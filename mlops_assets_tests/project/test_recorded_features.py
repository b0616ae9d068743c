"""What was recorded of a model's definition tells its features again, whatever was declared."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from mlops_assets.errors import ContractError
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.load import load_project
from mlops_assets.project.recorded_features import recorded_features
from mlops_assets_tests.project.small_project import SmallProject


def require_the_same(model: ModelDefinition) -> None:
    found = recorded_features(model, dict(sorted(model.parts.items())))
    assert [(one.name, one.type, one.kind) for one in found.features] == [
        (one.name, one.type, one.kind) for one in model.features
    ]
    assert [one.name for one in found.request] == [one.name for one in model.request]
    assert [(one.name, one.type, one.expression.canonical) for one in found.computed] == [
        (one.name, one.type, one.expression.canonical) for one in model.computed
    ]
    for lookup, declared in zip(found.lookups, model.lookups, strict=True):
        read = lookup.definition
        assert (read.table, read.columns, read.lookback) == (declared.table, declared.columns, declared.lookback)
        assert (read.names, read.default) == (declared.names, declared.default)
        assert read.lookup_key == (declared.lookup_key or lookup.keys)


def test_the_features_of_the_example_and_of_the_small_project_are_read_again(tmp_path: Path) -> None:
    example = Path(__file__).parents[2] / "mlops_assets" / "defs"
    models = [*load_project(example).models.values(), *SmallProject(tmp_path).load().models.values()]
    assert models
    for model in models:
        require_the_same(model)


def test_requests_keys_of_other_names_renames_and_defaults_are_read_again(tmp_path: Path) -> None:
    project = SmallProject(tmp_path)
    project.change("forecast/defs.yaml", "baseline: trend.level", "baseline: size")
    project.change(
        "forecast/defs.yaml",
        "    - {table: trend, columns: [level, crowd], lookback: 2 days}\n    - {table: shops, columns: [region]}\n",
        """\
    - table: trend
      columns: [level, crowd]
      lookback: 36 hours
      rename: {level: size}
      default: {crowd: 3, level: -1.5}
    - {table: shops, columns: [region], default: {region: "it's, \\"so\\"; by x = y"}}
    - {table: shops, columns: [region], lookup_key: [other], rename: {region: other_region}}
  request:
    columns:
      other: {type: string, description: Another shop}
      offered: {type: "decimal(12,2)", description: Price}
  computed:
    - {name: each, expression: "offered / nullif(size, 0)", type: "DECIMAL(14, 3)", description: By size}
    - {name: near, expression: "region = other_region", type: boolean, description: Both in one region}
""",
    )
    project.change("forecast/selling.sql", "SELECT shop, day", "SELECT shop, day, shop AS other, price AS offered")
    require_the_same(project.load().models["forecast"])


VALUES = [None, True, 3, -1.5, Decimal("-0.10"), "a, b", date(2024, 2, 1), datetime(2024, 2, 1, 3, tzinfo=UTC)]


@pytest.mark.parametrize("value", VALUES)
def test_a_default_of_any_type_is_read_again(tmp_path: Path, value: object) -> None:
    model = SmallProject(tmp_path).load().models["forecast"]
    parts = {"lookup 1 in trend": f"level double number as level default {value!r}; by shop = shop; None"}
    (lookup,) = recorded_features(model, parts).lookups
    assert lookup.definition.default == ({} if value is None else {"level": value})
    assert lookup.definition.lookback is None


def test_what_another_release_recorded_is_refused_in_words(tmp_path: Path) -> None:
    model = SmallProject(tmp_path).load().models["forecast"]
    with pytest.raises(ContractError, match="that this release does not read"):
        recorded_features(model, {"lookup 1 in trend": "level, crowd"})
