"""Loading a project: what it becomes, and how each mistake in it is reported."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mlops_assets.errors import DefinitionError, Location
from mlops_assets.lakehouse.periods import Calendar, Duration
from mlops_assets.operations.check import check_parameter_values
from mlops_assets.project.attributes import RENAMED, SourceAttributes
from mlops_assets.project.definition import Files
from mlops_assets.project.file_patterns import FilePattern
from mlops_assets.project.gates import ComparisonGate
from mlops_assets.project.load import load_project
from mlops_assets.project.model_attributes import LookupDefinition
from mlops_assets.project.model_parts import RetrainPolicy, TemplateChoice
from mlops_assets.templates import find_template
from mlops_assets_tests.project.small_project import FORECAST, SALES, SHOPS, TREND, VISITS, SmallProject

DAYS = Calendar("day")


def check(project: SmallProject, place: tuple[str, str | int | None], found: str, expected: str, cure: str) -> None:
    """See that the refusal says just this, of the line of a text (or a number, or None: of no line) in a file."""
    error = project.refusal()
    name, line = place
    number = project.line(name, line) if isinstance(line, str) else line
    assert (error.found, error.expected, error.cure) == (found, expected, cure)
    assert error.where == Location(project.folder / name, number)
    prefix = f"{project.folder / name}:{number}" if number else str(project.folder / name)
    assert str(error) == f"{prefix}: Found: {found}. Expected: {expected}. What to do: {cure}."


# What a project becomes


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n"])
def test_a_file_without_definitions_is_refused_as_dagster_refuses_it(project: SmallProject, text: str) -> None:
    project.write("visits/defs.yaml", text)
    refused = project.refusal()
    assert refused.found == "a file without definitions"
    assert refused.where is not None and refused.where.file == project.folder / "visits/defs.yaml"


def test_a_folder_without_definitions_is_an_empty_project(tmp_path: Path) -> None:
    loaded = load_project(tmp_path)
    assert (loaded.folder, dict(loaded.sources), dict(loaded.feature_tables), dict(loaded.models)) == (
        tmp_path,
        {},
        {},
        {},
    )


def test_a_source_is_what_was_written(project: SmallProject) -> None:
    source = project.load().sources["sales"]
    assert (source.name, source.static, source.generation) == ("sales", False, "source")
    assert source.documentation.description == "Units sold by shop and day"
    assert (source.documentation.owners, source.documentation.tags) == (("team:shops",), {"domain": "shops"})
    assert source.location == Location(project.folder / "sales/defs.yaml", 1)
    assert (source.schema.keys, source.schema.timestamp, source.schema.calendar) == (("shop",), "day", DAYS)
    assert source.lag == timedelta(hours=6)
    assert [period and period.key for period in (source.first, source.last, source.live_since)] == [
        "2024-01-01",
        "2024-12-31",
        "2024-02-01",
    ]
    assert (source.delivers, source.max_removed_share, source.min_rows_share) == ("period", 0.1, 0.5)
    assert (source.overdue_after, source.published_from) == (timedelta(days=3), None)
    assert source.origin == Files("csv", FilePattern("{period}.csv", DAYS), None, None)


def test_columns_have_their_kind_and_keys_and_times_are_never_null(project: SmallProject) -> None:
    columns = {column.name: column for column in project.load().sources["sales"].schema.columns}
    assert {name: (column.type, column.kind, column.nullable) for name, column in columns.items()} == {
        "day": ("date", "time", False),
        "shop": ("string", "key", False),
        "units": ("bigint", "number", False),
        "price": ("double", "category", True),
        "open": ("boolean", "category", True),
        "channel": ("string", "category", True),
    }
    assert (columns["units"].minimum, columns["units"].maximum, columns["channel"].allowed) == (
        0,
        100000,
        ("counter", "web"),
    )


def test_a_column_is_its_tables_owners_and_internal_unless_it_says_otherwise(project: SmallProject) -> None:
    project.change(
        "sales/defs.yaml",
        "description: Average price, kind: category}",
        "description: Average price, kind: category, owners: [ana@example.com], sensitivity: personal}",
    )
    columns = {column.name: column for column in project.load().sources["sales"].schema.columns}
    assert (columns["price"].owners, columns["price"].sensitivity) == (("ana@example.com",), "personal")
    assert (columns["units"].owners, columns["units"].sensitivity) == (("team:shops",), "internal")


@pytest.mark.parametrize(
    ("column", "further", "found"),
    [
        ("channel", "minimum: 1", "a minimum for 'channel', which is of type string"),
        ("open", "maximum: 1", "a maximum for 'open', which is of type boolean"),
        ("price", "minimum: 3, maximum: 2", "a minimum of 3 above the maximum of 2 for 'price'"),
        ("day", "allowed: [x]", "allowed values for 'day', which is of type date"),
        ("price", "minimum: .inf", "wrong value in 'columns.price.minimum'"),
        ("channel", "owners: [ana]", "wrong value in 'columns.channel.owners.0'"),
        ("channel", "sensitivity: secret", "wrong value in 'columns.channel.sensitivity'"),
    ],
)
def test_a_contract_that_no_value_could_keep_or_that_means_nothing(
    project: SmallProject, column: str, further: str, found: str
) -> None:
    line = f"    {column}: {{type: "
    project.change("sales/defs.yaml", line, f"    {column}: {{{further}, type: ")
    error = project.refusal()
    place = Location(project.folder / "sales/defs.yaml", project.line("sales/defs.yaml", f"    {column}: "))
    assert (error.found, error.where) == (found, place)


def test_a_static_source_has_no_time_and_comes_whole(project: SmallProject) -> None:
    shops = project.load().sources["shops"]
    assert (shops.static, shops.schema.timestamp, shops.first, shops.last) == (True, None, None, None)
    assert shops.delivers == "snapshot"
    assert shops.location.line == SALES.count("\n") + 2


def test_a_feature_table_has_the_max_lag_and_the_common_span_of_its_inputs(project: SmallProject) -> None:
    loaded = project.load()
    trend = loaded.feature_tables["trend"]
    assert (trend.inputs, trend.history, trend.schema.calendar) == (("sales", "visits"), 8, DAYS)
    assert trend.lag == timedelta(days=2)
    assert (trend.first.key, trend.last and trend.last.key) == ("2024-01-05", "2024-12-31")
    assert trend.location == Location(project.folder / "trend/defs.yaml", 1)
    assert [source.name for source in loaded.upstream_sources("trend")] == ["visits", "sales"]


def test_a_model_is_what_was_written(project: SmallProject) -> None:
    model = project.load().models["forecast"]
    assert (model.schema.keys, model.schema.timestamp, model.schema.names) == (("shop",), "day", ("shop", "day"))
    assert [column.kind for column in model.schema.columns] == ["key", "time"]
    assert (model.population_inputs, model.inputs) == (("sales",), ("sales", "trend", "shops"))
    assert (model.history, model.label.horizon, model.label.delay, model.label.known_after) == (4, 1, 2, 3)
    assert (model.label.inputs, model.label.column, model.label.unit) == (("sales",), "growth", "log ratio")
    assert model.baseline == "level"
    assert model.lookups == (
        LookupDefinition("trend", ("level", "crowd"), Duration(rest=timedelta(days=2))),
        LookupDefinition("shops", ("region",), None),
    )
    assert model.feature_names == ("level", "crowd", "region")
    assert (model.numbers, model.categories) == (("level", "crowd"), ("region",))
    assert model.template == TemplateChoice(
        "ridge_regressor", 1, {"alpha": 1.0}, 7, find_template("ridge_regressor", 1).definition_hash
    )
    assert (model.window, model.validation, model.min_rows) == (60, 7, 100)
    assert model.gates == (ComparisonGate("mae", "baseline", 0.0), ComparisonGate("rmse", "champion", 0.1))
    assert model.retrain == RetrainPolicy(0.3, 3, 14, 28)
    assert (model.approval, model.when_late, model.metric) == ("automatic", "wait", "mae")
    assert (model.drift.reference, model.drift.segments, model.drift.false_alarms) == ("all", (), 0.05)
    assert (model.lag, model.first.key) == (timedelta(days=2), "2024-01-05")
    assert model.first_label_period.key == "2024-01-08"


@pytest.mark.parametrize("asset", ["sales", "sales/sales_online", "trend", "trend/trend_online", "forecast/labels"])
def test_an_asset_is_cut_into_the_periods_of_the_table_or_model_it_is_of(project: SmallProject, asset: str) -> None:
    loaded = project.load()
    assert loaded.calendar_of(asset) == loaded.sources["sales"].schema.calendar


def test_an_expanding_window_has_no_length(project: SmallProject) -> None:
    project.change("forecast/defs.yaml", "window: 60 days, ", "")
    assert project.load().models["forecast"].window is None


def test_fits_that_never_served_are_kept_for_ever_or_as_long_as_the_model_says(project: SmallProject) -> None:
    assert project.load().models["forecast"].candidate_retention is None
    project.change("forecast/defs.yaml", "  retrain:", "  retention: {candidates: 24 months}\n  retrain:")
    assert project.load().models["forecast"].candidate_retention == Duration.parse("24 months")
    project.change("forecast/defs.yaml", "24 months", "long")
    error = project.refusal()
    assert error.where == Location(
        project.folder / "forecast/defs.yaml", project.line("forecast/defs.yaml", "retention")
    )


def test_the_same_files_are_the_same_project_twice(project: SmallProject) -> None:
    assert project.load() == project.load()


@pytest.mark.parametrize(
    ("unit", "first", "span", "periods"),
    [("week", "2024-01-01", "2 weeks", 2), ("month", "2024-01", "1 year", 12), ("day", "2024-01-01", "2 weeks", 14)],
)
def test_days_weeks_and_months_are_counted_in_their_own_periods(
    tmp_path: Path, unit: str, first: str, span: str, periods: int
) -> None:
    project = SmallProject(tmp_path / "defs")
    project.write("sales/defs.yaml", SALES.replace("period: day", f"period: {unit}").replace("2024-01-01", first)
                  .replace("  last_period: 2024-12-31\n  live_since: 2024-02-01\n", ""))  # fmt: skip
    project.write("visits/defs.yaml", VISITS.replace("period: day", f"period: {unit}").replace("2024-01-05", first))
    project.write("trend/defs.yaml", TREND.replace("8 days", span))
    (project.folder / "forecast/defs.yaml").unlink()
    trend = project.load().feature_tables["trend"]
    assert (trend.history, trend.first.key, trend.schema.calendar.unit) == (periods, first, unit)


def test_weeks_end_on_the_day_that_is_written(project: SmallProject) -> None:
    before, after = SALES.split("  period: day\n")
    fields = "  period: week\n  week_ends_on: friday\n  first_period: 2024-01-06\n"
    project.write("sales/defs.yaml", before + fields + after[after.index("  publication_lag") :])
    for name in ("visits", "trend", "forecast"):
        (project.folder / f"{name}/defs.yaml").unlink()
    first = project.load().sources["sales"].first
    assert first and first.end == datetime(2024, 1, 13, tzinfo=UTC)


def test_paths_are_taken_from_the_folder_of_their_yaml(project: SmallProject) -> None:
    project.write("visits/data/all.csv", "shop,day,visitors\n")
    project.change("visits/defs.yaml", "lag: 2 days", "lag: 2 days\n  landing: ../in\n  published_from: data/all.csv")
    visits = project.load().sources["visits"]
    assert isinstance(visits.origin, Files) and visits.origin.landing == project.folder / "in"
    assert visits.published_from == project.folder / "visits/data/all.csv"


def test_documents_may_stand_in_one_file_or_in_many(project: SmallProject) -> None:
    before = project.load()
    for name in ("sales", "visits", "trend", "forecast"):
        (project.folder / f"{name}/defs.yaml").unlink()
    project.write("defs.yaml", "---\n".join([FORECAST, TREND, VISITS, SHOPS, SALES]))
    for name in ("trend/trend.sql", "forecast/selling.sql", "forecast/growth.sql"):
        project.write(name.split("/")[1], (project.folder / name).read_text(encoding="utf-8"))
    after = project.load()
    assert after.models["forecast"].generation == before.models["forecast"].generation
    assert after.sources["sales"].schema == before.sources["sales"].schema
    assert after.sources["sales"].location.line == project.line("defs.yaml", "name: sales") - 2


def test_feature_tables_come_after_those_they_read(project: SmallProject) -> None:
    # In the order of the files "a_first" comes before "trend", which it reads.
    project.write("a_first/defs.yaml", TREND.replace("name: trend", "name: a_first"))
    project.write("a_first/trend.sql", "SELECT shop, day, level, crowd FROM trend")
    loaded = project.load()
    assert list(loaded.feature_tables) == ["trend", "a_first"]
    assert {source.name for source in loaded.upstream_sources("a_first")} == {"sales", "visits"}


def test_documents_of_others_are_left_alone(project: SmallProject) -> None:
    project.write("other/defs.yaml", "type: dagster.PythonScript\nattributes: {any: thing}\n---\n")
    assert "forecast" in project.load().models


def test_a_name_that_is_not_declared_is_answered_with_those_that_are(project: SmallProject) -> None:
    loaded = project.load()
    with pytest.raises(DefinitionError) as table:
        loaded.table("sails")
    assert (table.value.found, table.value.expected) == ("table 'sails'", "one of: sales, shops, visits, trend")
    with pytest.raises(DefinitionError) as model:
        loaded.model("trend")
    assert (model.value.found, model.value.expected) == ("model 'trend'", "one of: forecast")


# Generations


GENERATIONS = ("trend", "forecast", "labels")


def generations(project: SmallProject) -> dict[str, str]:
    loaded = project.load()
    model = loaded.models["forecast"]
    values = (loaded.feature_tables["trend"].generation, model.generation, model.label_generation)
    return dict(zip(GENERATIONS, values, strict=True))


def changed_generations(project: SmallProject, name: str, old: str, new: str) -> set[str]:
    before = generations(project)
    project.change(name, old, new)
    after = generations(project)
    return {key for key in GENERATIONS if before[key] != after[key]}


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("trend/trend.sql", "FROM sales", "-- the shops' own figures\nFROM sales"),
        ("trend/trend.sql", "SELECT\n    sales.shop,", "/* all */ select sales . shop ,"),
        ("trend/trend.sql", "ln(units + 1) AS level", "LN( units+1 )\tas level"),
        ("trend/trend.sql", "USING (shop, day)\n", "USING (shop, day);"),
        ("forecast/growth.sql", "FROM sales AS now\n", "from sales as now -- today\n\n"),
        ("forecast/selling.sql", "WHERE units > 0", "\n  where\n    units>0"),
        ("trend/defs.yaml", "Level of sales", "How much is sold"),
        ("trend/defs.yaml", "description: Visitors}", 'description: "Visitors"}   # of all kinds'),
        ("forecast/defs.yaml", "Growth of units", "Log growth of units"),
        ("forecast/defs.yaml", "cool_down: 2 weeks", "cool_down: 3 weeks"),
        ("sales/defs.yaml", "Average price", "Mean price"),
        ("forecast/defs.yaml", "columns: [region]", "columns: [region], lookup_key: [shop]"),
    ],
)
def test_layout_comments_and_descriptions_change_no_generation(
    project: SmallProject, name: str, old: str, new: str
) -> None:
    assert changed_generations(project, name, old, new) == set()


@pytest.mark.parametrize(
    ("name", "old", "new", "changed"),
    [
        ("trend/trend.sql", "units + 1", "units + 2", {"trend"}),
        ("trend/trend.sql", "JOIN visits", "LEFT JOIN visits", {"trend"}),
        ("trend/defs.yaml", "8 days", "9 days", {"trend"}),
        ("trend/defs.yaml", "type: bigint", "type: double", {"trend", "forecast"}),
        ("forecast/growth.sql", "ln(later", "log2(later", {"forecast", "labels"}),
        ("forecast/selling.sql", "> 0", "> 1", {"forecast", "labels"}),
        ("forecast/defs.yaml", "delay: 2", "delay: 1", {"forecast", "labels"}),
        ("forecast/defs.yaml", "history: 4 days", "history: 5 days", {"forecast", "labels"}),
        ("forecast/defs.yaml", "columns: [level, crowd]", "columns: [level]", {"forecast"}),
        ("forecast/defs.yaml", "lookback: 2 days", "lookback: 3 days", {"forecast"}),
        ("forecast/defs.yaml", "columns: [region]", "columns: [region], default: {region: none}", {"forecast"}),
        ("forecast/defs.yaml", "columns: [region]", "columns: [region], rename: {region: area}", {"forecast"}),
    ],
)
def test_another_definition_is_another_generation_of_all_that_rest_on_it(
    project: SmallProject, name: str, old: str, new: str, changed: set[str]
) -> None:
    assert changed_generations(project, name, old, new) == changed


def test_a_text_in_sql_keeps_its_case_and_its_spaces(project: SmallProject) -> None:
    project.change("forecast/selling.sql", "units > 0", "channel = 'web'")
    assert changed_generations(project, "forecast/selling.sql", "'web'", "'Web'") == {"forecast", "labels"}
    assert changed_generations(project, "forecast/selling.sql", "'Web'", "'Web '") == {"forecast", "labels"}


AGAIN = "    - {table: trend, columns: [crowd, level], lookback: 9 days, lookup_key: [shop], "


def look_up_again(project: SmallProject, rest: str) -> None:
    """Add a second lookup in a table that is looked up already."""
    project.change("forecast/defs.yaml", "    - {table: shops", f"{AGAIN}{rest}}}\n    - {{table: shops")


def test_a_table_is_looked_up_twice_under_other_names_and_with_defaults(project: SmallProject) -> None:
    look_up_again(project, "rename: {level: old_level, crowd: old_crowd}, default: {crowd: 0, level: 1}")
    model = project.load().models["forecast"]
    assert model.feature_names == ("level", "crowd", "old_crowd", "old_level", "region")
    assert model.features[2] == replace(model.features[1], name="old_crowd")
    assert model.lookups[1].default == {"crowd": 0, "level": 1.0}
    assert isinstance(model.lookups[1].default["level"], float)
    assert model.lookups[1].lookup_key == ("shop",)
    assert model.feature_tables == ("trend", "shops")


def test_the_baseline_is_a_feature_by_its_own_name_where_its_column_is_looked_up_twice(project: SmallProject) -> None:
    look_up_again(project, "rename: {level: old_level, crowd: old_crowd}")
    assert project.load().models["forecast"].baseline == "level"
    project.change("forecast/defs.yaml", "crowd], lookback: 2 days", "crowd], lookback: 2 days, rename: {level: new}")
    check(
        project,
        ("forecast/defs.yaml", "baseline"),
        "baseline 'trend.level', which the model looks up under several names",
        "one of: new, old_level",
        "name one of them",
    )
    project.change("forecast/defs.yaml", "baseline: trend.level", "baseline: old_level")
    assert project.load().models["forecast"].baseline == "old_level"


@pytest.mark.parametrize(
    ("rest", "found", "expected", "cure"),
    [
        (
            "rename: {level: old_level, crowds: old_crowd}",
            "rename of 'crowds', which is not looked up here",
            "one of: crowd, level",
            "write 'crowd'",
        ),
        (
            "rename: {level: known_at, crowd: old_crowd}",
            "a feature named 'known_at'",
            "any name but event_time, known_at, seq, removed, period, anchor, as_of, which the platform adds",
            "choose another name",
        ),
        (
            "rename: {level: old_level, crowd: growth}",
            "a feature with the name 'growth'",
            "a name that no other column of the model has",
            "take one of them out, or give it another name with rename: {crowd: …}",
        ),
        (
            "rename: {level: a, crowd: b}, default: {crowd: 1.5}",
            "the default 1.5 of 'crowd'",
            "a value of type bigint",
            "correct the default",
        ),
        (
            "rename: {level: a, crowd: b}, default: {level: .inf}",
            "the default inf of 'level'",
            "a value of type double",
            "correct the default",
        ),
        (
            "rename: {level: a, crowd: b}, default: {units: 1}",
            "default of 'units', which is not looked up here",
            "one of: crowd, level",
            "correct the name, or look the column up",
        ),
    ],
)
def test_names_and_defaults_of_a_lookup_that_cannot_be(
    project: SmallProject, rest: str, found: str, expected: str, cure: str
) -> None:
    look_up_again(project, rest)
    check(project, ("forecast/defs.yaml", AGAIN), found, expected, cure)


@pytest.mark.parametrize(
    ("key", "found", "expected", "cure"),
    [
        (
            "[shop, day]",
            "lookup_key shop, day for 'shops'",
            "one column for each key of the table: shop",
            "name them in that order",
        ),
        ("[shops]", "no column 'shops' to look 'shops' up by", "one of: shop", "write 'shop'"),
    ],
)
def test_a_lookup_key_that_does_not_fit_the_table(
    project: SmallProject, key: str, found: str, expected: str, cure: str
) -> None:
    project.change("forecast/defs.yaml", "columns: [region]}", f"columns: [region], lookup_key: {key}}}")
    check(project, ("forecast/defs.yaml", "lookup_key"), found, expected, cure)


REQUEST = """\
  request:
    columns:
      price: {type: double, description: Asked price}
      twin: {type: string, description: Shop that it is compared with}
  computed:
    - {name: gap, type: double, description: Price for the level, expression: price - level}
  template:"""


def ask(project: SmallProject, old: str = "", new: str = "") -> None:
    """Let the model's rows come with a price and a second shop, and one text in that be another."""
    assert old in REQUEST
    project.change("forecast/defs.yaml", "  template:", REQUEST.replace(old, new) if old else REQUEST)
    project.write("forecast/selling.sql", "SELECT shop, day, price, channel AS twin FROM sales WHERE units > 0\n")


def test_what_comes_with_a_request_is_a_feature_unless_a_lookup_takes_its_key_from_it(project: SmallProject) -> None:
    ask(project)
    model = project.load().models["forecast"]
    assert model.feature_names == ("level", "crowd", "region", "price", "twin", "gap")
    assert (model.numbers, model.categories) == (("level", "crowd", "price", "gap"), ("region", "twin"))
    assert model.population_schema.names == ("shop", "day", "price", "twin")
    assert [feature.expression.columns for feature in model.computed] == [("price", "level")]
    assert model.looked_up_by == ()
    project.change("forecast/defs.yaml", "columns: [region]}", "columns: [region], lookup_key: [twin]}")
    model = project.load().models["forecast"]
    assert model.feature_names == ("level", "crowd", "region", "price", "gap")
    assert [column.name for column in model.looked_up_by] == ["twin"]


def test_the_baseline_may_be_computed(project: SmallProject) -> None:
    ask(project)
    project.change("forecast/defs.yaml", "baseline: trend.level", "baseline: gap")
    assert project.load().models["forecast"].baseline == "gap"


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("price - level", "price  -  level -- layout", set()),
        ("Price for the level", "Price and level", set()),
        ("price - level", "level - price", {"forecast"}),
        ("name: gap", "name: distance", {"forecast"}),
        ("price: {type: double", "price: {type: bigint", {"forecast", "labels"}),
    ],
)
def test_another_request_or_expression_is_another_generation(
    project: SmallProject, old: str, new: str, changed: set[str]
) -> None:
    ask(project)
    assert changed_generations(project, "forecast/defs.yaml", old, new) == changed


@pytest.mark.parametrize(
    ("old", "new", "found", "expected", "cure"),
    [
        (
            "price - level",
            "price - levels",
            "column 'levels' in the expression of 'gap', which is no key, request column or looked-up feature",
            "one of: shop, price, twin, level, crowd, region",
            "write 'level'",
        ),
        (
            "price - level",
            "avg(price)",
            "AVG(price), which takes many rows",
            "an expression over the columns of one row",
            "compute it in a feature table, and look it up",
        ),
        (
            "name: gap",
            "name: level",
            "a second column 'level' of the model",
            "one name for each column of the model",
            "choose another name",
        ),
        (
            "      price:",
            "      growth:",
            "a second column 'growth' of the model",
            "one name for each column of the model",
            "choose another name",
        ),
        (
            "      price:",
            "      cost:",
            "no column 'cost' in what selling.sql selects (shop, day, price, twin)",
            "the columns shop, day, cost, twin",
            "select it in the SQL, or correct the YAML",
        ),
    ],
)
def test_mistakes_in_what_is_asked_and_computed(
    project: SmallProject, old: str, new: str, found: str, expected: str, cure: str
) -> None:
    ask(project, old, new)
    error = project.refusal()
    assert (error.found, error.expected, error.cure) == (found, expected, cure)
    assert error.where is not None
    assert error.where.file == project.folder / "forecast/defs.yaml"
    assert error.where.line


@pytest.mark.parametrize(
    ("metric", "found"),
    [
        ("risk: sum(abs(prediction - growht))", "metric 'risk' of 'growht', which no prediction has"),
        ("risk: abs(prediction - growth)", "no aggregate"),
        ("risk: sum(prediction) FROM sales", "more than one expression"),
        ("risk: sum(sqrt(now()))", "now, which asks for the clock"),
        ("mae: sum(prediction)", "a second metric 'mae'"),
    ],
)
def test_a_metric_that_is_no_figure_of_what_was_predicted_is_refused(
    project: SmallProject, metric: str, found: str
) -> None:
    text = f"  monitor: {{metrics: {{{metric}}}}}"
    project.change("forecast/defs.yaml", "  retrain:", f"{text}\n  retrain:")
    error = project.refusal()
    assert error.found == found and error.where is not None
    lines = (project.folder / "forecast/defs.yaml").read_text().splitlines()
    assert lines[(error.where.line or 0) - 1] == text


def test_a_metric_of_the_users_own_changes_no_generation_and_no_training(project: SmallProject) -> None:
    before = project.load().models["forecast"]
    metrics = '{risk: "sum(abs(prediction - growth) * level)", worst: max(abs(baseline - growth))}'
    project.change("forecast/defs.yaml", "  retrain:", f"  monitor: {{metrics: {metrics}}}\n  retrain:")
    after = project.load().models["forecast"]
    assert [one.name for one in after.own_metrics] == ["risk", "worst"]
    assert {column.name for column in after.own_metrics[0].read} == {"prediction", "growth", "level"}
    assert (after.generation, after.trained_by) == (before.generation, before.trained_by)


# Mistakes in names


def test_an_unknown_column_in_a_lookup(project: SmallProject) -> None:
    text = "columns:\n        - level\n        - crowds\n      lookback: 2 days"
    project.change(
        "forecast/defs.yaml",
        "    - {table: trend, columns: [level, crowd], lookback: 2 days}",
        f"    - table: trend\n      {text}",
    )
    check(
        project,
        ("forecast/defs.yaml", "- crowds"),
        "column 'crowds', which 'trend' does not have",
        "one of: level, crowd",
        "write 'crowd'",
    )


def test_a_key_looked_up_as_a_feature(project: SmallProject) -> None:
    project.change("forecast/defs.yaml", "[level, crowd]", "[level, shop]")
    assert project.refusal().found == "column 'shop', which is a key or the timestamp of 'trend'"


def test_an_unknown_table_in_a_lookup(project: SmallProject) -> None:
    project.change("forecast/defs.yaml", "table: trend", "table: trends")
    check(
        project,
        ("forecast/defs.yaml", "table: trends"),
        "table 'trends'",
        "one of: sales, shops, visits, trend",
        "write 'trend'",
    )


def test_an_unknown_table_in_the_sql_of_a_feature_table(project: SmallProject) -> None:
    project.change("trend/trend.sql", "JOIN visits", "JOIN visit")
    check(
        project,
        ("trend/trend.sql", 7),
        "the SQL reads 'visit', which no component declares",
        "one of: sales, shops, trend, visits",
        "correct the name, or declare the table",
    )


@pytest.mark.parametrize(("name", "line"), [("selling.sql", 1), ("growth.sql", 2)])
def test_an_unknown_table_in_the_sql_of_a_model(project: SmallProject, name: str, line: int) -> None:
    text = (project.folder / "forecast" / name).read_text(encoding="utf-8")
    project.write(f"forecast/{name}", text.replace("FROM sales", "FROM Sails"))
    check(
        project,
        (f"forecast/{name}", line),
        "the SQL reads 'sails', which no component declares",
        "one of: sales, shops, visits, trend",
        "correct the name, or declare the table",
    )


def test_an_unknown_baseline(project: SmallProject) -> None:
    for baseline in ("trend.levels", "levels", "sales.units", "trends.level"):
        text = FORECAST.replace("baseline: trend.level", f"baseline: {baseline}")
        project.write("forecast/defs.yaml", text)
        check(
            project,
            ("forecast/defs.yaml", "baseline:"),
            f"baseline '{baseline}', which the model does not look up",
            "one of: trend.level, trend.crowd, shops.region",
            "add it to features, or choose another",
        )


def test_two_components_of_one_name(project: SmallProject) -> None:
    for text in (SALES, TREND.replace("name: trend", "name: sales"), FORECAST.replace("name: forecast", "name: sales")):
        project.write("visits/defs.yaml", f"{VISITS}---\n{text}")
        check(
            project,
            ("visits/defs.yaml", "name: sales"),
            f"a second 'sales'; the first is at {project.folder / 'sales/defs.yaml'}:3",
            "one definition for each name",
            "rename one of them",
        )


def test_two_features_of_one_name(project: SmallProject) -> None:
    project.change(
        "forecast/defs.yaml", "    - {table: shops, columns: [region]}", "    - {table: trend, columns: [level]}"
    )
    check(
        project,
        ("forecast/defs.yaml", "columns: [level]}"),
        "two features named 'level'",
        "each feature once",
        "take one of them out, or give it another name with rename: {level: …}",
    )


def test_an_unknown_component_type(project: SmallProject) -> None:
    project.change("trend/defs.yaml", "mlops_assets.FeatureTable", "mlops_assets.Feature")
    check(
        project,
        ("trend/defs.yaml", 1),
        "component type 'mlops_assets.Feature'",
        "mlops_assets.Source, mlops_assets.FeatureTable or mlops_assets.Model",
        "correct the type",
    )


# Mistakes in keys, times and columns


def test_a_missing_primary_key(project: SmallProject) -> None:
    project.change("trend/defs.yaml", "  primary_keys: [shop]\n", "")
    check(
        project,
        ("trend/defs.yaml", 1),
        "missing field 'primary_keys'",
        "'primary_keys' in every FeatureTable",
        "add it",
    )
    project.write("trend/defs.yaml", TREND.replace("primary_keys: [shop]", "primary_keys: []"))
    check(
        project,
        ("trend/defs.yaml", "primary_keys"),
        "wrong value in 'primary_keys'",
        "List should have at least 1 item after validation, not 0",
        "correct the value",
    )


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("primary_keys: [shop]", "primary_keys: [shop, till]", "primary_keys"),
        ("timestamp: day", "timestamp: till", "timestamp"),
    ],
)
def test_a_key_or_timestamp_without_a_column(project: SmallProject, old: str, new: str, field: str) -> None:
    project.change("visits/defs.yaml", old, new)
    error = project.refusal()
    assert error.found.startswith("'till'") or "'till'" in error.found
    assert error.expected == "one of: day, shop, visitors"
    assert error.cure == "add the column, or correct the name"
    assert error.where == Location(project.folder / "visits/defs.yaml", project.line("visits/defs.yaml", field))


@pytest.mark.parametrize(
    ("old", "new", "line", "found", "expected", "cure"),
    [
        ("crowd]", "crowd], rename: {crowd: upper}", "columns: [level", "a feature with the name 'upper'",
         "a name that no other column of the model has", "take one of them out, or give it another name with rename:"),
        ("column: growth", "column: lower", "column: lower", "a column 'lower' of a regression model",
         "any name but lower, upper, which its answers have", "call it otherwise in the SQL"),
        ("task: regression", "task: binary", "  intervals:", "intervals of a binary model",
         "none: it says by probabilities how sure it is", "take intervals out"),
        ("80%", "100%", "  intervals:", "wrong value in 'intervals.coverage'", "Input should be less", "correct"),
        ("80%", "wide", "  intervals:", "wrong value in 'intervals.coverage'", "Input should be a", "correct"),
    ],
)  # fmt: skip
def test_intervals_that_cannot_be(
    project: SmallProject, old: str, new: str, line: str, found: str, expected: str, cure: str
) -> None:
    file = "forecast/defs.yaml"
    project.change(file, "  retrain:", "  intervals: {coverage: 80%}\n  retrain:")
    project.change(file, old, new)
    if "lower" in new:
        project.change("forecast/growth.sql", "AS growth", "AS lower")
    error = project.refusal()
    assert error.found.startswith(found)
    assert error.expected.startswith(expected) and error.cure.startswith(cure)
    text = (project.folder / file).read_text(encoding="utf-8").splitlines()
    assert error.where and error.where.line and line in text[error.where.line - 1]


@pytest.mark.parametrize(
    ("task", "name", "taken"),
    [
        ("binary", "probability", "probability"),
        ("multiclass", "baseline_up", "probability_down, probability_up, baseline_down, baseline_up"),
    ],
)
def test_no_other_column_has_the_name_of_an_answer(project: SmallProject, task: str, name: str, taken: str) -> None:
    file = "forecast/defs.yaml"
    project.change(file, "task: regression", f"task: {task}")
    if task == "multiclass":
        project.change(file, "column: growth", "column: growth, classes: [down, up]")
    unchanged = (project.folder / file).read_text(encoding="utf-8")
    project.change(file, "crowd]", f"crowd], rename: {{crowd: {name}}}")
    assert project.refusal().found.startswith(f"a feature with the name '{name}'")
    (project.folder / file).write_text(unchanged, encoding="utf-8")
    project.change(file, "column: growth", f"column: {name}")
    error = project.refusal()
    assert (error.found, error.expected) == (
        f"a column '{name}' of a {task} model",
        f"any name but {taken}, which its answers have",
    )


def test_intervals_are_columns_as_sensitive_as_the_prediction_and_no_other_definition(project: SmallProject) -> None:
    before = project.load().models["forecast"]
    assert (before.intervals, before.interval_columns, "intervals" in before.trained_by) == (None, (), False)
    project.change("forecast/defs.yaml", "  retrain:", "  intervals: {coverage: 0.8}\n  retrain:")
    model = project.load().models["forecast"]
    assert (model.generation, model.label_generation) == (before.generation, before.label_generation)
    assert [column.name for column in model.answer_columns] == ["prediction", "lower", "upper"]
    assert {column.sensitivity for column in model.interval_columns} == {model.prediction.sensitivity}
    assert model.trained_by["intervals"] == {"coverage": 0.8}


def test_a_classification_declares_its_classes_and_a_category_as_its_baseline(project: SmallProject) -> None:
    file = "forecast/defs.yaml"
    project.change(file, "task: regression", "task: multiclass")
    project.change(file, "delay: 2, unit: log ratio", "delay: 2, classes: [down, up]")
    project.change(file, "baseline: trend.level", "baseline: shops.region")
    project.change(file, "{name: ridge_regressor, params: {alpha: 1.0}, seed: 7}", "{name: logistic_regression}")
    gates = "[{metric: mae, better_than: baseline}, {metric: rmse, better_than: champion, by: 0.1}]"
    project.change(file, gates, "[{metric: accuracy, better_than: baseline}]")
    model = project.load().models["forecast"]
    assert model.gates == (ComparisonGate("accuracy", "baseline", 0.0),)
    assert (model.task, model.classes, model.label.type) == ("multiclass", ("down", "up"), "string")
    assert (model.baseline, model.metric) == ("region", "log_loss")
    kept = [(column.name, column.type) for column in (*model.prediction_columns, *model.baseline_columns)]
    assert kept == [
        ("prediction", "string"),
        ("probability_down", "double"),
        ("probability_up", "double"),
        ("baseline_down", "double"),
        ("baseline_up", "double"),
    ]
    project.change(file, "baseline: shops.region", "baseline: prior")
    project.change(file, "task: multiclass", "task: binary")
    project.change(file, ", classes: [down, up]", "")
    binary = project.load().models["forecast"]
    assert (binary.classes, binary.label.type, binary.baseline) == (("false", "true"), "boolean", None)
    assert [column.name for column in binary.prediction_columns] == ["prediction", "probability"]
    assert binary.label_generation != model.label_generation != ""


@pytest.mark.parametrize(
    ("task", "classes", "found"),
    [
        ("multiclass", "", "a multiclass label with no classes"),
        ("multiclass", ", classes: [up]", "a multiclass label with the classes up"),
        ("multiclass", ", classes: [up, up]", "a multiclass label with the classes up, up"),
        ("binary", ", classes: [up, down]", "a binary label with the classes up, down"),
    ],
)
def test_classes_that_do_not_fit_the_task(project: SmallProject, task: str, classes: str, found: str) -> None:
    project.change("forecast/defs.yaml", "task: regression", f"task: {task}")
    project.change("forecast/defs.yaml", "delay: 2, unit: log ratio", f"delay: 2{classes}")
    check(
        project,
        ("forecast/defs.yaml", "label: {"),
        found,
        "two classes or more, each once, where the task is multiclass, and none elsewhere",
        "list them under label.classes, or change the task",
    )


def test_a_baseline_of_the_wrong_kind(project: SmallProject) -> None:
    project.change("forecast/defs.yaml", "baseline: trend.level", "baseline: shops.region")
    check(
        project,
        ("forecast/defs.yaml", "baseline"),
        "baseline 'shops.region', a category, of a regression model",
        "a number",
        "choose another feature, or compute one under computed",
    )


def test_a_gate_by_a_metric_of_another_task(project: SmallProject) -> None:
    project.change("forecast/defs.yaml", "metric: mae, better", "metric: map, better")
    check(
        project,
        ("forecast/defs.yaml", "gates: ["),
        "metric 'map' of a regression model",
        "one of: mae, rmse, median_absolute_error, r2",
        "write 'mae'",
    )


def test_a_metric_that_no_level_can_be_held_against(project: SmallProject) -> None:
    project.change("forecast/defs.yaml", "  retrain:", "  monitor: {metric: r2}\n  retrain:")
    check(
        project,
        ("forecast/defs.yaml", "monitor: {"),
        "metric 'r2' of a regression model",
        "one of: mae, rmse, median_absolute_error",
        "choose one of which less is better",
    )


def test_a_model_key_that_no_table_has(project: SmallProject) -> None:
    project.change("forecast/defs.yaml", "primary_keys: [shop]", "primary_keys: [till]")
    check(
        project,
        ("forecast/defs.yaml", "primary_keys"),
        "'till', which no table of the model has",
        "a column of trend, shops, sales",
        "use the name that the tables use",
    )


def test_a_looked_up_table_with_a_key_that_the_model_lacks(project: SmallProject) -> None:
    project.write(
        "shops/defs.yaml", SHOPS.replace("name: shops", "name: regions").replace("keys: [shop]", "keys: [region]")
    )
    project.change(
        "forecast/defs.yaml",
        "    - {table: shops, columns: [region]}",
        "    - table: regions\n      columns: [shop]\n      rename: {shop: flagship}",
    )
    check(
        project,
        ("forecast/defs.yaml", "table: regions"),
        "'regions' has the key region, which forecast lacks",
        "keys among shop",
        "say in lookup_key which columns of the population hold the table's keys, or look up another table",
    )


def test_a_timestamp_among_the_primary_keys(project: SmallProject) -> None:
    project.change("visits/defs.yaml", "primary_keys: [shop]", "primary_keys: [shop, day]")
    check(
        project,
        ("visits/defs.yaml", "primary_keys"),
        "the timestamp 'day' among the primary keys",
        "keys that name an entity; the time of a row is no part of them",
        "take it out of primary_keys",
    )


def test_a_timestamp_that_is_no_time(project: SmallProject) -> None:
    project.change("visits/defs.yaml", "day: {type: date,", "day: {type: string,")
    check(
        project,
        ("visits/defs.yaml", "day: {type"),
        "timestamp 'day' of type string",
        "type date or timestamp",
        "declare it so; text such as 2001-03 is read as a date",
    )


@pytest.mark.parametrize("name", ["known_at", "event_time", "seq", "removed", "period", "anchor", "as_of"])
def test_a_column_with_a_name_of_the_platforms_own(project: SmallProject, name: str) -> None:
    project.change("visits/defs.yaml", "visitors: {", f"{name}: {{")
    check(
        project,
        ("visits/defs.yaml", f"    {name}:"),
        f"a column named '{name}'",
        "any name but event_time, known_at, seq, removed, period, anchor, as_of, "
        "which the lakehouse adds to every table",
        "rename it",
    )


@pytest.mark.parametrize(
    ("old", "new", "found", "line"),
    [
        ("  static: true\n", "  static: true\n  timestamp: region\n", "static: true with a timestamp", "static"),
        ("  static: true\n", "", "static: false with no timestamp", "type: mlops_assets.Source"),
    ],
)
def test_a_source_that_is_neither_static_nor_timed(
    project: SmallProject, old: str, new: str, found: str, line: str
) -> None:
    project.write("sales/defs.yaml", SALES)
    project.write("shops/defs.yaml", SHOPS.replace(old, new).replace("region: {type: string", "region: {type: date"))
    check(
        project,
        ("shops/defs.yaml", line),
        found,
        "a timestamp, or static: true",
        "add the timestamp, or declare the table static",
    )


@pytest.mark.parametrize(
    ("field", "line"), [("period", "  period: day\n"), ("first_period", "  first_period: 2024-01-05\n")]
)
def test_a_timed_source_without_periods(project: SmallProject, field: str, line: str) -> None:
    project.change("visits/defs.yaml", line, "")
    check(
        project,
        ("visits/defs.yaml", 1),
        f"no {field}",
        "period and first_period in a source with a time",
        f"add {field}",
    )


def test_editors_are_told_the_default_of_a_length_as_a_user_writes_it() -> None:
    schema = SourceAttributes.model_json_schema()
    parts = (schema, schema["$defs"]["Database"], schema["$defs"]["Push"])
    fields = {name: field for part in parts for name, field in part["properties"].items()}
    lengths = ("publication_lag", "overdue_after", "check_every", "remember_keys")
    assert [fields[name]["default"] for name in lengths] == ["0 days", "3 days", "1 day", "7 days"]


# Mistakes in values


def test_an_unknown_field(project: SmallProject) -> None:
    project.change("visits/defs.yaml", "  publication_lag: 2 days", "  publication_delay: 2 days")
    check(
        project,
        ("visits/defs.yaml", "publication_delay"),
        "unknown field 'publication_delay'",
        "fields that Source has",
        "correct the name, or take the field out",
    )


@pytest.mark.parametrize(("old", "new"), [one for one in RENAMED.items() if "." not in one[0]])
def test_a_field_under_the_name_that_it_had_before_is_refused_with_its_present_one(
    project: SmallProject, old: str, new: str
) -> None:
    project.change("visits/defs.yaml", "  publication_lag: 2 days", f"  publication_lag: 2 days\n  {old}: 0.25")
    check(project, ("visits/defs.yaml", old), f"'{old}'", f"'{new}', as it is called now", "rename it")
    project.change("visits/defs.yaml", old, new)
    assert getattr(project.load().sources["visits"], new) == 0.25


def test_an_unknown_field_deep_inside(project: SmallProject) -> None:
    project.change("visits/defs.yaml", "visitors: {type: bigint,", "visitors:\n      {kinds: number, type: bigint,")
    check(
        project,
        ("visits/defs.yaml", "kinds: number"),
        "unknown field 'columns.visitors.kinds'",
        "fields that Source has",
        "correct the name, or take the field out",
    )


@pytest.mark.parametrize("field", ["name", "description", "columns"])
def test_a_missing_field(project: SmallProject, field: str) -> None:
    lines = VISITS.splitlines()
    kept = [line for line in lines if not line.startswith((f"  {field}:", "    "))] if field == "columns" else [
        line for line in lines if not line.startswith(f"  {field}:")
    ]  # fmt: skip
    project.write("visits/defs.yaml", "\n".join(kept))
    check(project, ("visits/defs.yaml", 1), f"missing field '{field}'", f"'{field}' in every Source", "add it")


def test_a_missing_field_deep_inside_points_at_the_closest_place(project: SmallProject) -> None:
    project.change("forecast/defs.yaml", "validation: 7 days, ", "")
    check(
        project,
        ("forecast/defs.yaml", "train:"),
        "missing field 'train.validation'",
        "'train.validation' in every Model",
        "add it",
    )


@pytest.mark.parametrize(
    ("name", "old", "new", "field", "expected"),
    [
        ("visits", "type: bigint", "type: integer", "columns.visitors.type", "Input should be 'string', 'bigint', "),
        (
            "visits",
            "type: bigint",
            'type: "decimal(40, 2)"',
            "columns.visitors.type",
            "Input should be 'string', 'bigint', 'double', 'boolean', 'date', 'timestamp' or 'decimal(p, s)', of 1 to "
            "38 digits in all and s of them after the point: decimal(12, 2)",
        ),
        ("visits", "type: bigint", 'type: "decimal(2,3)"', "columns.visitors.type", "Input should be 'string', "),
        ("visits", "type: bigint", "type: decimal", "columns.visitors.type", "Input should be 'string', 'bigint', "),
        ("visits", "period: day", "period: quarter", "period", "Input should be 'day', 'week' or 'month'"),
        ("visits", "name: visits", "name: Visits", "name", "String should match pattern '^[a-z][a-z0-9_]*$'"),
        ("visits", "2024-01-05", "202401", "first_period", "Input should be a valid string"),
        ("forecast", "horizon: 1", "horizon: 0", "label.horizon", "Input should be greater than or equal to 1"),
        ("forecast", "horizon: 1", "horizon: one", "label.horizon", "Input should be a valid integer"),
        (
            "forecast",
            "task: regression",
            "task: guessing",
            "task",
            "Input should be 'regression', 'binary' or 'multiclass'",
        ),
        ("forecast", "by: 0.1", "by: 1.0", "gates.1.by", "Input should be less than 1"),
        ("forecast", "[level, crowd]", "[]", "features.0.columns", "List should have at least 1 item"),
        ("forecast", "features:", "features: none\n  feature:", "features", "Input should be a valid list"),
    ],
)
def test_a_value_of_the_wrong_type(
    project: SmallProject, name: str, old: str, new: str, field: str, expected: str
) -> None:
    project.change(f"{name}/defs.yaml", old, new)
    error = project.refusal()
    assert error.found.startswith(f"wrong value in '{field}'")
    assert error.expected.startswith(expected)
    assert error.cure == "correct the value"
    text = new.split("\n")[0]
    assert error.where == Location(project.folder / f"{name}/defs.yaml", project.line(f"{name}/defs.yaml", text))


def test_a_decimal_is_kept_in_one_spelling_and_in_braces_stands_between_quotation_marks(project: SmallProject) -> None:
    project.change("visits/defs.yaml", "type: bigint", 'type: " DECIMAL( 12,2 )"')
    source = project.load().sources["visits"]
    assert source.schema.column("visitors").type == "decimal(12,2)"
    project.change("visits/defs.yaml", '" DECIMAL( 12,2 )"', "decimal(12, 2)")
    error = project.refusal()
    assert error.found == "wrong value in 'columns.visitors.type' (and 1 more fault)"
    assert error.expected.endswith("decimal(12, 2), between quotation marks where it stands in braces")


def test_more_than_one_fault_is_counted(project: SmallProject) -> None:
    project.write("visits/defs.yaml", VISITS.replace("period: day", "period: year").replace("bigint", "int"))
    assert project.refusal().found == "wrong value in 'columns.visitors.type' (and 1 more fault)"


def test_attributes_that_are_missing_or_no_fields(project: SmallProject) -> None:
    project.write("visits/defs.yaml", "\ntype: mlops_assets.Source\n")
    assert project.refusal().found.startswith("missing field 'name'")
    assert project.refusal().where == Location(project.folder / "visits/defs.yaml", 2)
    project.write("visits/defs.yaml", "type: mlops_assets.Source\nattributes:\n  - name\n")
    error = project.refusal()
    assert (error.found, error.cure) == ("wrong value in ''", "correct the value")
    assert error.where is not None
    assert error.where.line in (1, 2)


@pytest.mark.parametrize(
    ("field", "value", "found", "expected"),
    [
        ("first_period", "2024-01", "period '2024-01'", "a day such as 2001-03-05"),
        ("last_period", "soon", "period 'soon'", "a day such as 2001-03-05"),
        ("publication_lag", "2 months", "'2 months'", "hours, days or weeks: months have no fixed length"),
        ("publication_lag", "two days", "duration 'two days'", "a number with hours, days, weeks, months or years"),
        ("overdue_after", "3", "duration '3'", "a number with hours, days, weeks, months or years"),
    ],
)
def test_a_period_or_a_length_of_time_that_is_none(
    project: SmallProject, field: str, value: str, found: str, expected: str
) -> None:
    kept = [line for line in VISITS.splitlines() if not line.startswith(f"  {field}:")]
    kept.insert(3, f'  {field}: "{value}"')
    project.write("visits/defs.yaml", "\n".join(kept))
    error = project.refusal()
    assert (error.found, error.expected) == (found, expected)
    assert error.where == Location(project.folder / "visits/defs.yaml", 4)


def test_a_first_period_inside_a_week(project: SmallProject) -> None:
    project.change("visits/defs.yaml", "period: day", "period: week")
    check(
        project,
        ("visits/defs.yaml", "first_period"),
        "'2024-01-05', which does not begin a week",
        "the first day, 2024-01-01",
        "use that",
    )


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("trend", "history: 8 days", "history: 1 month"),
        ("trend", "history: 8 days", "history: 36 hours"),
        ("forecast", "history: 4 days", "history: 1 year"),
        ("forecast", "window: 60 days", "window: 2 months"),
        ("forecast", "validation: 7 days", "validation: 5 hours"),
        ("forecast", "cool_down: 2 weeks", "cool_down: 1 month"),
        ("forecast", "max_age: 4 weeks", "max_age: 1 years"),
    ],
)
def test_a_length_that_is_no_whole_number_of_periods(project: SmallProject, name: str, old: str, new: str) -> None:
    project.change(f"{name}/defs.yaml", old, new)
    error = project.refusal()
    assert error.found.startswith("a duration of ")
    assert (error.expected, error.cure) == ("a whole number of days", "give it in days")
    assert error.where == Location(project.folder / f"{name}/defs.yaml", project.line(f"{name}/defs.yaml", new))


def test_a_lookback_that_is_no_length_of_time(project: SmallProject) -> None:
    project.change("forecast/defs.yaml", "lookback: 2 days", "lookback: always")
    error = project.refusal()
    assert error.found == "duration 'always'"
    assert error.where == Location(
        project.folder / "forecast/defs.yaml", project.line("forecast/defs.yaml", "lookback")
    )


def test_a_history_that_is_too_short_for_the_label(project: SmallProject) -> None:
    project.change("forecast/defs.yaml", "history: 4 days", "history: 3 days")
    check(
        project,
        ("forecast/defs.yaml", "history:"),
        "history of 3 days with a label known after 3",
        "at least 4 days",
        "lengthen the history: the label's SQL must see both ends",
    )


# Mistakes between tables


WEEKLY = VISITS.replace("period: day", "period: week").replace("2024-01-05", "2024-01-01")


def test_inputs_of_different_periods(project: SmallProject) -> None:
    project.write("visits/defs.yaml", WEEKLY)
    check(
        project,
        ("trend/defs.yaml", "sql:"),
        "inputs of different periods: sales (day), visits (week)",
        "inputs of one period",
        "look one of them up among the model's features, which takes a table of any periods",
    )


def test_a_label_of_other_periods_than_the_population(project: SmallProject) -> None:
    project.write("weekly/defs.yaml", WEEKLY.replace("name: visits", "name: weekly"))
    project.write("forecast/growth.sql", "SELECT shop, day, visitors AS growth FROM weekly")
    check(
        project,
        ("forecast/defs.yaml", "population:"),
        "inputs of different periods: sales (day), weekly (week)",
        "inputs of one period",
        "look one of them up among the model's features, which takes a table of any periods",
    )


def test_a_table_of_other_periods_than_the_model_is_looked_up(project: SmallProject) -> None:
    project.write("weekly/defs.yaml", WEEKLY.replace("name: visits", "name: weekly"))
    project.change(
        "forecast/defs.yaml", "    - {table: shops, columns: [region]}", "    - {table: weekly, columns: [visitors]}"
    )
    model = project.load().models["forecast"]
    assert model.schema.calendar.unit == "day" and "visitors" in model.feature_names
    assert model.first.key == "2024-01-07"  # the day on which the first week is over


def test_only_static_tables_as_inputs(project: SmallProject) -> None:
    project.write("trend/trend.sql", "SELECT shop, region AS day, 1.0 AS level, 1 AS crowd FROM shops")
    check(
        project,
        ("trend/defs.yaml", "sql:"),
        "only static tables as inputs",
        "at least one input with a time",
        "read a table with a time",
    )


def test_feature_tables_in_a_circle(project: SmallProject) -> None:
    project.write("other/defs.yaml", TREND.replace("name: trend", "name: other"))
    project.write("other/trend.sql", "SELECT shop, day, level, crowd FROM trend")
    project.change("trend/trend.sql", "JOIN visits", "JOIN other")
    check(
        project,
        ("other/defs.yaml", "sql:"),
        "feature tables that read each other in a circle: other, trend",
        "inputs that come before the table",
        "break the circle",
    )


def test_a_feature_table_that_reads_itself(project: SmallProject) -> None:
    project.change("trend/trend.sql", "JOIN visits", "JOIN trend")
    check(
        project,
        ("trend/defs.yaml", "sql:"),
        "'trend' reads itself",
        "a table that reads others",
        "read its source",
    )


# Mistakes in SQL


@pytest.mark.parametrize(
    ("sql", "found", "line"),
    [
        ("SELECT shop, day\nFROM sales JOIN ON", "SQL that does not parse near ", 2),
        ("SELECT shop, day\nFROM sales\nWHERE (units > 0", "SQL that does not parse near ", 3),
        ("SELECT shop, day FROM sales\nWHERE channel = 'web", "a quotation mark or comment that is opened", None),
        ("", "an empty text", None),
        ("-- nothing yet", "an empty text", None),
        ("DELETE FROM sales", "a statement that is not a SELECT: it starts with DELETE", 1),
        ("SELECT shop, day FROM sales;\nSELECT 1", "more than one statement", 2),
    ],
)
def test_sql_that_is_not_one_select(project: SmallProject, sql: str, found: str, line: int | None) -> None:
    project.write("forecast/selling.sql", sql)
    error = project.refusal()
    assert error.found.startswith(found)
    assert error.where == Location(project.folder / "forecast/selling.sql", line)
    assert error.expected.startswith(("one SELECT", "columns", "a "))
    assert error.cure


@pytest.mark.parametrize("name", ["trend/trend.sql", "forecast/selling.sql", "forecast/growth.sql"])
@pytest.mark.parametrize(
    ("condition", "asks_for", "cure"),
    [
        ("day < now()", "the clock", "take the time from a timestamp column of the input"),
        ("day < current_date", "the clock", "take the time from a timestamp column of the input"),
        ("random() < 0.5", "randomness", "use md5(key) to spread or choose rows"),
        ("shop IN (SELECT shop FROM read_csv('a.csv'))", "a file or the environment", "declare the file as a source"),
    ],
    ids=["clock", "bare clock", "randomness", "file"],
)
def test_sql_that_asks_for_the_clock_for_randomness_or_for_a_file(
    project: SmallProject, name: str, condition: str, asks_for: str, cure: str
) -> None:
    text = (project.folder / name).read_text(encoding="utf-8").replace("WHERE units > 0\n", "").rstrip()
    project.write(name, f"SELECT * FROM ({text}\n) AS all_rows\nWHERE {condition}")
    error = project.refusal()
    assert error.found.endswith(f"which asks for {asks_for}")
    assert error.cure.startswith(cure)
    assert error.where == Location(project.folder / name, project.line(name, f"WHERE {condition}"))


def test_sql_that_reads_a_file_by_its_name(project: SmallProject) -> None:
    project.write("forecast/selling.sql", "SELECT shop, day\nFROM 'a.csv'")
    error = project.refusal()
    assert error.found == "'a.csv', which reads a file"
    assert error.where == Location(project.folder / "forecast/selling.sql", 2)


def test_sql_that_lacks_a_declared_column(project: SmallProject) -> None:
    project.change("trend/trend.sql", "visitors AS crowd", "visitors")
    check(
        project,
        ("trend/defs.yaml", "crowd:"),
        "no column 'crowd' in what trend.sql selects (shop, day, level, visitors)",
        "the columns shop, day, level, crowd",
        "select it in the SQL, or correct the YAML",
    )


def test_a_population_that_lacks_its_timestamp(project: SmallProject) -> None:
    project.write("forecast/selling.sql", "SELECT shop FROM sales")
    check(
        project,
        ("forecast/defs.yaml", "population:"),
        "no column 'day' in what selling.sql selects (shop)",
        "the columns shop, day",
        "select it in the SQL, or correct the YAML",
    )


def test_a_label_that_lacks_its_column(project: SmallProject) -> None:
    project.change("forecast/growth.sql", "AS growth", "AS change")
    check(
        project,
        ("forecast/defs.yaml", "label:"),
        "no column 'growth' in what growth.sql selects (shop, day, change)",
        "the columns shop, day, growth",
        "select it in the SQL, or correct the YAML",
    )


def test_a_star_is_taken_as_it_comes(project: SmallProject) -> None:
    project.write("forecast/selling.sql", "SELECT * FROM sales")
    assert project.load().models["forecast"].population.output_columns is None


@pytest.mark.parametrize(
    ("name", "field", "sql"),
    [
        ("trend", "sql: trend.sql", "trend.sql"),
        ("forecast", "population:", "selling.sql"),
        ("forecast", "label:", "growth.sql"),
    ],
)
def test_an_sql_file_that_is_missing_no_file_or_in_another_encoding(
    project: SmallProject, name: str, field: str, sql: str
) -> None:
    file = project.folder / name / sql
    makes: tuple[Callable[[], object], ...] = (
        lambda: None,
        lambda: file.write_bytes("SELECT 'Größe' AS shop".encode("latin-1")),
        lambda: os.mkfifo(file),
        lambda: file.symlink_to("/dev/zero"),
    )
    for make in makes:
        file.unlink()
        make()
        check(
            project,
            (f"{name}/defs.yaml", field),
            f"no readable file {file}",
            "a file in UTF-8 with one SELECT",
            "write it, or correct the name",
        )
        file.unlink(missing_ok=True)
        project.write(f"{name}/{sql}", "")


def test_a_missing_data_file(project: SmallProject) -> None:
    project.change("visits/defs.yaml", "  columns:", "  published_from: visits.csv\n  columns:")
    check(
        project,
        ("visits/defs.yaml", "published_from"),
        f"no file {project.folder / 'visits/visits.csv'}",
        "the data file that is published from",
        "put it there, or correct the name",
    )


# What a later layer, Dagster or YAML itself would not take


@pytest.mark.parametrize(
    ("file", "old", "new", "at", "found", "cure"),
    [
        ("sales", "open: {", "Period: {", "Period:", "a column named 'Period'", "rename it"),
        ("sales", "open: {", "Units: {", "Units:", "columns 'units' and 'Units'", "rename one of them"),
        ("sales", "open: {", "on: {", "    on:", "a field 'on', which YAML takes for true",
         'put it between quotation marks: "on"'),
        ("sales", "[counter, web]", "[counter, NO]", "channel:", "wrong value in 'columns.channel.allowed.1'",
         "put it between quotation marks"),
        ("sales", "name: sales", "name: templates", "name: templates", "wrong value in 'name'", "correct the value"),
        ("sales", "name: sales", "name: input", "name: input", "wrong value in 'name'", "correct the value"),
        ("sales", "name: sales", f"name: {'s' * 61}", "name: s", "wrong value in 'name'", "correct the value"),
        ("sales", "domain: shops", "domain: north am", "tags:", "wrong value in 'tags.domain'", "correct the value"),
        ("sales", "domain: shops", "domain: Köln", "tags:", "wrong value in 'tags.domain'", "correct the value"),
        ("sales", "first_period: 2024-01-01", "first_period: 0001-01-01", "first_period:", "first_period 0001-01-01",
         "correct it; of a table that goes on, leave last_period out"),
        ("sales", "last_period: 2024-12-31", "last_period: 2023-12-31", "last_period:",
         "last_period 2023-12-31 before first_period 2024-01-01", "swap them, or leave last_period out"),
        ("sales", "publication_lag: 6 hours", "publication_lag: 99999999 days", "publication_lag:",
         "duration '99999999 days'", "shorten it; where any length will do, as in a lookback, leave it out"),
        ("trend", "history: 8 days", "history: 0 days", "history:", "'0 days'", "write, say, '1 days'"),
        ("forecast", "lookback: 2 days", "lookback: 0 days", "lookback:", "a lookback of '0 days'",
         "leave it out for ever, or write '1 day'"),
        ("forecast", "lookback: 2 days", "lookback: 3000 years", "lookback:", "duration '3000 years'",
         "shorten it; where any length will do, as in a lookback, leave it out"),
        ("forecast", "validation: 7 days", "validation: 0 days", "train:", "'0 days'", "write, say, '1 days'"),
        ("forecast", "window: 60 days", "window: 10 days", "train:",
         "a window of 10 days, of which 7 judge a candidate and 3 before them are left out",
         "lengthen train.window, or shorten train.validation"),
        ("trend", "crowd: {type: bigint", "crowd: {type: date", "", "a feature 'crowd' of type date",
         "compute how long ago it was, such as date_diff('day', crowd, …), in the table's SQL"),
    ],
)  # fmt: skip
def test_what_a_later_layer_would_not_take_is_refused_with_its_line(
    project: SmallProject, file: str, old: str, new: str, at: str, found: str, cure: str
) -> None:
    project.change(f"{file}/defs.yaml", old, new)
    refused = project.refusal()
    assert (refused.found.partition(" (and ")[0], refused.cure) == (found, cure)
    assert refused.where is not None
    if at:
        assert refused.where.line == project.line(f"{file}/defs.yaml", at)


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("alpha: 1.0", "alpha: -1", "alpha -1, which"),
        ("alpha: 1.0", "alpha: .inf", "alpha inf, which"),
        ("min_rows: 100", "min_rows: 100, search: {params: {alpha: [1.0, many]}}", "alpha 'many', which"),
        ("min_rows: 100", "min_rows: 100, search: {params: {alpha: {low: -2, high: 1}}}", "alpha -2, which"),
    ],
)
def test_a_value_that_a_template_s_estimator_refuses_is_refused_with_its_line(
    project: SmallProject, old: str, new: str, found: str
) -> None:
    project.change("forecast/defs.yaml", old, new)
    with pytest.raises(DefinitionError) as refused:
        check_parameter_values(project.load().models["forecast"])
    assert refused.value.found.startswith(f"{found} the estimator of template 'ridge_regressor' refuses (The 'alpha' ")
    assert refused.value.where is not None
    assert refused.value.where.line == project.line("forecast/defs.yaml", new)


@pytest.mark.parametrize(
    ("old", "new", "line", "found"),
    [
        ("name: trend", "name: '{{ env.TABLE }}'", "{{ env", "the template '{{ env.TABLE }}'"),
        ("description: Visitors", "description: 'By {% if x %}day{% endif %}'", "By {%", "the template '{% if x %}'"),
        ("primary_keys: [shop]", "primary_keys: ['{{ key }}']", "{{ key", "the template '{{ key }}'"),
        ("description: Visitors", "'{{ env.FIELD }}': Visitors", "{{ env", "the template '{{ env.FIELD }}'"),
    ],
)
def test_a_template_of_dagsters_is_refused_and_not_kept_as_text(
    project: SmallProject, old: str, new: str, line: str, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TABLE", "a secret")
    project.change("trend/defs.yaml", old, new)
    check(
        project,
        ("trend/defs.yaml", line),
        found,
        "values that are the same wherever the project is read: its definitions are hashed as they are written",
        "write the value itself; a secret is given by a variable of the environment that a field names, such as "
        "url_variable",
    )


def test_braces_that_are_no_template_are_texts(project: SmallProject) -> None:
    project.change("trend/defs.yaml", "description: Visitors", "description: 'Of {all} and {{some}'")
    assert project.load().feature_tables["trend"].schema.column("crowd").description == "Of {all} and {{some}"


OWN = "template: {name: mine, python: 'mine:line', params: {alpha: 1.0}, seed: 7}"
MINE = """\
def line(numbers, *, alpha=1.0, most=3):
    from sklearn.linear_model import Ridge

    if most > 5:
        exit("more than five")
    return Ridge(alpha=alpha) if most else None
"""


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("alpha: 1.0", "alpha: -1", "alpha -1, which the estimator of template 'mine' refuses ('line' raised "
         "InvalidParameterError: The 'alpha' "),
        ("alpha: 1.0", "most: 0", "most 0, which the estimator of template 'mine' refuses ('mine' gave NoneType "
         "without fit and predict)"),
        ("alpha: 1.0", "most: 6", "most 6, which the estimator of template 'mine' refuses ('line' raised SystemExit: "
         "more than five)"),
        ("min_rows: 100", "min_rows: 100, search: {params: {most: [3, 9]}}", "most 9, which"),
    ],
)  # fmt: skip
def test_a_value_that_an_own_template_does_not_take_is_refused_with_its_line(
    project: SmallProject, old: str, new: str, found: str
) -> None:
    project.write("forecast/mine.py", MINE)
    project.change("forecast/defs.yaml", "template: {name: ridge_regressor, params: {alpha: 1.0}, seed: 7}", OWN)
    check_parameter_values(project.load().models["forecast"])
    project.change("forecast/defs.yaml", old, new)
    with pytest.raises(DefinitionError) as refused:
        check_parameter_values(project.load().models["forecast"])
    assert refused.value.found.startswith(found)
    assert refused.value.where is not None
    assert refused.value.where.line == project.line("forecast/defs.yaml", new)


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_number_that_no_computation_holds_is_refused_with_its_line(project: SmallProject, sign: str) -> None:
    project.change("forecast/defs.yaml", "alpha: 1.0", f"alpha: {sign}1{'0' * 400}")
    refused = project.refusal()
    assert refused.found.startswith(f"the value '{sign}10000") and refused.found.endswith(
        "int too large to convert to float)"
    )
    assert len(refused.found) < 250
    assert refused.where is not None
    assert refused.where.line == project.line("forecast/defs.yaml", "alpha:")


def test_a_field_beside_the_attributes_is_refused(project: SmallProject) -> None:
    project.change("trend/defs.yaml", "attributes:", "owner: me\nattributes:")
    assert project.refusal().found == "unknown field 'owner' beside 'attributes'"


def test_a_tab_is_refused_as_dagster_refuses_it(project: SmallProject) -> None:
    project.change("trend/defs.yaml", "  name: trend", "  name:\ttrend\n\t# note")
    assert project.refusal().found.startswith("a file that is not YAML (")


def test_aliases_that_multiply_are_refused_at_once(project: SmallProject) -> None:
    more = [f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    bomb = ["type: mlops_assets.Source", "attributes:", "  a0: &a0 [x]", *more]
    project.write("trend/defs.yaml", "\n".join(bomb))
    assert project.refusal().found.startswith("a document of more than 100000 values")


def test_a_folder_in_the_place_of_a_file_is_refused(project: SmallProject) -> None:
    (project.folder / "strange" / "defs.yaml").mkdir(parents=True)
    assert project.refusal().found == f"no readable file {project.folder / 'strange' / 'defs.yaml'}"
