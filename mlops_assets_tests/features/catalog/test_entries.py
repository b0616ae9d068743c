"""What the catalog says of the small project of shops, and the lines that a model takes from it."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from mlops_assets.errors import DefinitionError
from mlops_assets.features.catalog.entries import TableEntry, catalog, lines_to_paste
from mlops_assets_tests.project.small_project import SmallProject


@pytest.fixture
def files(tmp_path: Path) -> SmallProject:
    return SmallProject(tmp_path / "project")


def entry(files: SmallProject, name: str) -> TableEntry:
    return catalog(files.load()).table(name)


def test_a_feature_table_says_what_it_reads_who_uses_it_and_its_generation(files: SmallProject) -> None:
    project = files.load()
    trend = catalog(project).table("trend")
    assert (trend.kind, trend.keys, trend.timestamp) == ("feature table", ("shop",), "day")
    assert (trend.inputs, trend.readers, trend.used_by) == (("sales", "visits"), (), ("forecast",))
    assert trend.generation == project.feature_tables["trend"].generation


def test_a_source_says_which_feature_tables_read_it_and_which_models_read_it_themselves(files: SmallProject) -> None:
    sales, visits = entry(files, "sales"), entry(files, "visits")
    assert (sales.kind, sales.inputs, sales.readers, sales.used_by) == ("source", (), ("trend",), ("forecast",))
    assert (visits.readers, visits.used_by) == (("trend",), ())
    assert (sales.owners, sales.tags) == (("team:shops",), {"domain": "shops"})


def test_a_column_says_its_sql_what_it_is_computed_from_and_the_models_that_look_it_up(files: SmallProject) -> None:
    level = entry(files, "trend").column("level")
    assert (level.type, level.kind, level.sensitivity) == ("double", "number", "internal")
    assert level.expression == "LN(sales.units + 1)"
    assert (level.sources, level.used_by) == (("sales.units",), ("forecast",))
    day = entry(files, "trend").column("day")
    assert (day.kind, day.sources, day.used_by) == ("time", ("sales.day",), ())


def test_a_column_has_the_owners_of_its_table_unless_it_has_its_own(files: SmallProject) -> None:
    files.change("sales/defs.yaml", "description: Units sold,", "owners: [team:tills], description: Units sold,")
    sales = entry(files, "sales")
    assert sales.column("units").owners == ("team:tills",)
    assert sales.column("price").owners == ("team:shops",)


def test_the_sql_of_a_column_is_followed_through_with_and_stars_or_else_given_as_it_stands(files: SmallProject) -> None:
    assert entry(files, "sales").column("units").expression is None
    within = "WITH w AS (SELECT shop, day, units * 2.0 AS level, (SELECT max(price) FROM sales) AS p FROM sales)"
    files.write("trend/trend.sql", f"{within} SELECT * EXCLUDE (p), p AS crowd FROM w")
    assert entry(files, "trend").column("level").expression == "units * 2.0"
    assert entry(files, "trend").column("crowd").expression == "p"


def test_an_unknown_table_and_an_unknown_column_are_one_message_each(files: SmallProject) -> None:
    with pytest.raises(DefinitionError, match=r"no table 'trent' in the catalog\. .* What to do: write 'trend'"):
        entry(files, "trent")
    with pytest.raises(DefinitionError, match=r"no column 'levle' in 'trend'\. .* What to do: write 'level'"):
        entry(files, "trend").column("levle")


def test_lines_to_paste_are_an_item_of_a_models_features(files: SmallProject) -> None:
    lines = lines_to_paste(entry(files, "trend"))
    assert lines == "    - table: trend\n      columns: [level, crowd]\n"
    files.change("forecast/defs.yaml", "    - {table: trend, columns: [level, crowd], lookback: 2 days}\n", lines)
    (trend, _) = files.load().models["forecast"].lookups
    assert (trend.table, trend.columns) == ("trend", ("level", "crowd"))


def test_many_columns_to_paste_stand_on_lines_of_their_own(files: SmallProject) -> None:
    trend = entry(files, "trend")
    names = [f"a_column_of_a_longer_name_{number}" for number in range(12)]
    wide = replace(trend, columns=tuple(replace(trend.column("level"), name=name) for name in names))
    lines = lines_to_paste(wide)
    assert max(map(len, lines.splitlines())) <= 64
    assert yaml.safe_load(lines) == [{"table": "trend", "columns": names}]
    assert lines.splitlines()[2].startswith(" " * 16 + "a_column")


@pytest.mark.parametrize("name", ["on", "last units", "1st", "a: b", 'the "best"', "größe", "null", "y"])
def test_lines_to_paste_are_read_back_as_the_same_name_whatever_it_is(files: SmallProject, name: str) -> None:
    quoted = '"' + name.replace('"', '""') + '"'
    in_yaml = "'" + name + "'"
    files.write(
        "trend/trend.sql", f"SELECT shop, day, ln(units) AS level, units AS crowd, price AS {quoted} FROM sales"
    )
    files.change("trend/defs.yaml", "    crowd:", f"    {in_yaml}: {{type: double, description: A name}}\n    crowd:")
    lines = lines_to_paste(entry(files, "trend"), [name, "level"])
    files.change("forecast/defs.yaml", "    - {table: trend, columns: [level, crowd], lookback: 2 days}\n", lines)
    assert files.load().models["forecast"].lookups[0].columns == (name, "level")


def test_lines_to_paste_refuse_a_key_a_timestamp_an_unknown_column_and_none_at_all(files: SmallProject) -> None:
    trend = entry(files, "trend")
    for name in ("shop", "day"):
        with pytest.raises(DefinitionError, match=f"column '{name}', which is a key or the timestamp of 'trend'"):
            lines_to_paste(trend, ["level", name])
    with pytest.raises(DefinitionError, match="no column 'levle' in 'trend'"):
        lines_to_paste(trend, ["levle"])
    with pytest.raises(DefinitionError, match="no column of 'trend' to look up"):
        lines_to_paste(trend, [])
