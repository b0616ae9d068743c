"""Column lineage of a project: through feature tables, labels, training sets and predictions, in both directions."""

import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import DefinitionError
from mlops_assets.features.lineage import (
    ColumnEdge,
    How,
    LineageGraph,
    TableColumn,
    from_other_tables,
    lineage_graph,
    predictions_lineage,
)
from mlops_assets.features.lineage_drawing import as_svg
from mlops_assets.features.lineage_text import as_json, as_markdown, as_tree
from mlops_assets_tests.project.small_project import SmallProject

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def project(tmp_path: Path) -> SmallProject:
    made = SmallProject(tmp_path / "defs")
    made.change("forecast/defs.yaml", "columns: [region]}", "columns: [region], rename: {region: area}}")
    return made


@pytest.fixture
def graph(project: SmallProject) -> LineageGraph:
    return lineage_graph(project.load())


def named(name: str) -> TableColumn:
    table, _, column = name.rpartition(".")
    return TableColumn(table, column)


def above(graph: LineageGraph, name: str) -> dict[str, str]:
    return {str(edge.source): edge.how for edge in graph.above.get(named(name), ())}


def test_tables_stand_before_those_that_read_them(graph: LineageGraph) -> None:
    assert list(graph.tables) == [
        "sales", "shops", "visits", "trend", "forecast.labels", "forecast.training_set", "forecast.predictions"
    ]  # fmt: skip
    order = list(graph.tables)
    assert all(order.index(edge.source.table) <= order.index(edge.target.table) for edge in graph.edges)


def test_a_feature_comes_from_what_its_sql_takes(graph: LineageGraph) -> None:
    deciding = {"sales.shop": "rows", "sales.day": "rows", "visits.shop": "rows", "visits.day": "rows"}
    assert above(graph, "trend.level") == {"sales.units": "computed", **deciding}
    assert above(graph, "trend.crowd") == {"visits.visitors": "renamed", **deciding}


@pytest.fixture
def by_function(project: SmallProject) -> LineageGraph:
    """The same project, whose trend is computed by a Python function."""
    project.change("trend/defs.yaml", "sql: trend.sql", "python: rows:trend\n  inputs: [sales, visits]")
    project.write(
        "trend/rows.py",
        "from pyarrow import Table\n\n\ndef trend(sales: 'pyarrow.Table', visits: 'pyarrow.Table') -> Table: ...\n",
    )
    return lineage_graph(project.load())


def test_what_a_python_function_computes_may_come_from_any_column_of_its_inputs(by_function: LineageGraph) -> None:
    found = above(by_function, "trend.level")
    assert set(found.values()) == {"unknown"}
    assert set(found) == {f"{table}.{name}" for table in ("sales", "visits") for name in by_function.tables[table]}
    price = by_function.named("sales.price")
    below = by_function.around(price, up=False, down=True)
    assert below.tables["forecast.predictions"] == ("prediction", "baseline", "level", "crowd")


def test_any_column_is_shown_as_such_and_not_column_by_column(by_function: LineageGraph) -> None:
    asked = by_function.named("trend.level")
    part = by_function.around(asked, up=True, down=False)
    assert (
        as_tree(part, asked, up=True, down=False)
        == """\
trend.level
  comes from
  ├─ any column of sales  unknown
  └─ any column of visits  unknown"""
    )
    edges = [edge for edge in by_function.edges if edge.target.table == "trend"]
    assert "| level | any column of sales, any column of visits | unknown |" in as_markdown(["level"], edges)
    arrows = ElementTree.fromstring(as_svg(part, asked)).findall(f"{SVG}path/{SVG}title")
    assert [arrow.text for arrow in arrows] == [
        "Any column of sales to trend.level: unknown",
        "Any column of visits to trend.level: unknown",
    ]


def test_declared_windows_have_the_lineage_of_the_sql_that_they_stand_for(project: SmallProject) -> None:
    text = """\
type: mlops_assets.FeatureTable
attributes:
  name: sums
  description: Sums of sales
  primary_keys: [shop]
  timestamp: day
  windows:
    source: sales
    where: open
    aggregations: [{column: units, functions: [sum], windows: [7 days]}]
"""
    project.write("sums/defs.yaml", text)
    graph = lineage_graph(project.load())
    (name,) = [name for name in graph.tables["sums"] if name not in ("shop", "day")]
    assert above(graph, f"sums.{name}") == {
        "sales.units": "aggregated", "sales.shop": "rows", "sales.day": "rows", "sales.open": "rows"
    }  # fmt: skip


def test_labels_take_keys_from_the_population_and_the_label_from_its_own_sql(graph: LineageGraph) -> None:
    assert above(graph, "forecast.labels.shop") == {
        "sales.shop": "copied", "sales.units": "rows"
    }  # fmt: skip
    assert above(graph, "forecast.labels.growth") == {
        "sales.units": "computed", "sales.shop": "rows", "sales.day": "rows"
    }  # fmt: skip
    assert above(graph, "forecast.labels.predicted_at") == {}


def test_a_training_set_holds_labels_that_are_known_with_their_features(graph: LineageGraph) -> None:
    assert above(graph, "forecast.training_set.growth") == {"forecast.labels.growth": "copied"}
    assert above(graph, "forecast.training_set.day") == {
        "forecast.labels.day": "copied", "forecast.labels.growth": "rows"
    }  # fmt: skip
    asked_by = {f"forecast.labels.{name}": "rows" for name in ("shop", "day", "predicted_at", "growth")}
    assert above(graph, "forecast.training_set.level") == {
        "trend.level": "copied", "trend.shop": "rows", "trend.day": "rows", **asked_by
    }  # fmt: skip
    assert above(graph, "forecast.training_set.area") == {"shops.region": "renamed", "shops.shop": "rows", **asked_by}


def test_a_lookup_by_other_columns_is_decided_by_those(project: SmallProject) -> None:
    project.change("sales/defs.yaml", "    shop: {type: string, description: Shop}\n    region",
                   "    code: {type: string, description: Shop}\n    region")  # fmt: skip
    project.change("sales/defs.yaml", "static: true\n  primary_keys: [shop]", "static: true\n  primary_keys: [code]")
    project.change("forecast/defs.yaml", "{table: shops,", "{table: shops, lookup_key: [shop],")
    found = above(lineage_graph(project.load()), "forecast.training_set.area")
    assert found["shops.code"] == "rows" and found["forecast.labels.shop"] == "rows"


def test_predictions_are_computed_from_their_features_and_learned_from_the_training_set(graph: LineageGraph) -> None:
    own = {f"forecast.predictions.{name}": "computed" for name in ("level", "crowd", "area")}
    learned = {f"forecast.training_set.{name}": "learned" for name in ("level", "crowd", "area", "growth")}
    assert above(graph, "forecast.predictions.prediction") == {**own, **learned}
    assert above(graph, "forecast.predictions.baseline") == {"forecast.predictions.level": "computed"}
    assert above(graph, "forecast.predictions.shop") == {"sales.shop": "copied", "sales.units": "rows"}
    assert above(graph, "forecast.predictions.area")["shops.region"] == "renamed"
    assert above(graph, "forecast.predictions.version") == {}


def test_inside_edges_lead_on_to_the_tables_that_are_read(project: SmallProject) -> None:
    loaded = project.load()
    edges = from_other_tables(predictions_lineage(loaded, loaded.models["forecast"]))
    assert {edge.source.table for edge in edges} == {"sales", "trend", "shops", "forecast.training_set"}
    values = {str(edge.source): edge.how for edge in edges if edge.target.column == "baseline" and edge.how != "rows"}
    assert values == {"trend.level": "computed"}


def test_request_time_features_come_from_the_population_and_from_their_own_row(project: SmallProject) -> None:
    project.write("forecast/selling.sql", "SELECT shop, day, units * 2 AS planned FROM sales WHERE units > 0\n")
    request = """\
  request: {columns: {planned: {type: bigint, description: Units that are planned}}}
  computed: [{name: per_head, expression: 'Planned / nullif(crowd, 0)', type: double, description: Planned a head}]
"""
    project.change("forecast/defs.yaml", "  template:", f"{request}  template:")
    loaded = project.load()
    graph = lineage_graph(loaded)
    assert above(graph, "forecast.labels.planned") == {"sales.units": "computed"}
    assert above(graph, "forecast.training_set.planned")["forecast.labels.planned"] == "copied"
    for step in ("training_set", "predictions"):
        values = {name: how for name, how in above(graph, f"forecast.{step}.per_head").items() if how != "rows"}
        assert values == {f"forecast.{step}.planned": "computed", f"forecast.{step}.crowd": "computed"}
    assert above(graph, "forecast.predictions.planned") == {"sales.units": "computed"}
    outward = from_other_tables(predictions_lineage(loaded, loaded.models["forecast"]))
    assert all(edge.source.table != edge.target.table for edge in outward)
    found = {str(edge.source): edge.how for edge in outward if edge.target.column == "per_head" and edge.how != "rows"}
    assert found == {"sales.units": "computed", "trend.crowd": "computed"}


def test_up_goes_to_the_sources_and_down_to_the_predictions(graph: LineageGraph) -> None:
    level = graph.named("trend.level")
    assert graph.around(level, up=True, down=False).tables == {"sales": ("units",), "trend": ("level",)}
    assert graph.around(level, up=False, down=True).tables == {
        "trend": ("level",),
        "forecast.training_set": ("level",),
        "forecast.predictions": ("prediction", "baseline", "level"),
    }
    both = graph.around(level, up=True, down=True)
    assert set(both.tables) == {"sales", "trend", "forecast.training_set", "forecast.predictions"}
    assert "labels" not in str(both.edges)  # which come from sales.units as well, but not from the level


@st.composite
def any_graph(draw: st.DrawFn) -> LineageGraph:
    """Tables of a few columns; each column comes from any of the tables before it."""
    tables: dict[str, tuple[str, ...]] = {}
    edges: list[ColumnEdge] = []
    for number in range(draw(st.integers(1, 7))):
        before = [TableColumn(table, column) for table, columns in tables.items() for column in columns]
        tables[f"t{number}"] = tuple(f"c{column}" for column in range(draw(st.integers(1, 5))))
        for column in tables[f"t{number}"]:
            sources = draw(st.lists(st.sampled_from(before), max_size=3, unique=True)) if before else []
            hows: st.SearchStrategy[How] = st.sampled_from(("copied", "computed", "rows"))
            edges += [ColumnEdge(source, TableColumn(f"t{number}", column), draw(hows)) for source in sources]
    return LineageGraph(tables, tuple(edges))


@given(any_graph(), st.booleans())
def test_one_column_lies_above_another_just_when_the_other_lies_below_it(graph: LineageGraph, rows: bool) -> None:
    columns = [TableColumn(table, column) for table, names in graph.tables.items() for column in names]

    def reached(column: TableColumn, *, up: bool) -> set[TableColumn]:
        part = graph.around([column], up=up, down=not up, rows=rows)
        assert all(edge.how != "rows" or rows for edge in part.edges)
        return {TableColumn(table, name) for table, names in part.tables.items() for name in names}

    assert {(one, other) for one in columns for other in reached(one, up=True)} == {
        (one, other) for other in columns for one in reached(other, up=False)
    }


def test_columns_that_only_decide_on_rows_are_followed_when_asked_for(graph: LineageGraph) -> None:
    day = graph.named("visits.day")
    assert graph.around(day, up=False, down=True).edges == ()
    followed = graph.around(day, up=False, down=True, rows=True)
    assert TableColumn("forecast.predictions", "prediction") in {edge.target for edge in followed.edges}


def test_a_table_s_name_means_all_its_columns_in_any_case(graph: LineageGraph) -> None:
    assert [str(column) for column in graph.named("trend")] == ["trend.shop", "trend.day", "trend.level", "trend.crowd"]
    assert graph.named("trend.LEVEL") == (TableColumn("trend", "level"),)
    assert graph.named("forecast.training_set.growth") == (TableColumn("forecast.training_set", "growth"),)


@pytest.mark.parametrize(
    ("name", "found", "expected"),
    [
        ("tremd.level", "no table 'tremd' in the project", "TABLE or TABLE.COLUMN with a table such as: trend"),
        ("trend.lvel", "no column 'lvel' in 'trend'", "a column such as: level"),
        ("trend.zzz", "no column 'zzz' in 'trend'", "a column such as: shop, day, level, crowd"),
        (
            "forecast", "no table 'forecast' in the project",
            "TABLE or TABLE.COLUMN with a table such as: forecast.labels, forecast.training_set, forecast.predictions",
        ),
        (
            "forecast.trainingset.level", "no table 'forecast.trainingset' in the project",
            "TABLE or TABLE.COLUMN with a table such as: forecast.training_set, forecast.labels, forecast.predictions",
        ),
        (
            "zzz", "no table 'zzz' in the project",
            "TABLE or TABLE.COLUMN with a table such as: sales, shops, visits, trend, forecast.labels, "
            "forecast.training_set, forecast.predictions",
        ),
    ],
)  # fmt: skip
def test_an_unknown_name_is_answered_with_those_that_are_close(
    graph: LineageGraph, name: str, found: str, expected: str
) -> None:
    with pytest.raises(DefinitionError) as error:
        graph.named(name)
    assert (error.value.found, error.value.expected) == (found, expected)


def test_the_tree_tells_both_directions_and_shows_a_branch_once(graph: LineageGraph) -> None:
    asked = graph.named("trend.level")
    assert (
        as_tree(graph.around(asked, up=True, down=True), asked, up=True, down=True)
        == """\
trend.level
  comes from
  └─ sales.units  computed
  goes into
  ├─ forecast.training_set.level  copied
  │  └─ forecast.predictions.prediction  learned
  └─ forecast.predictions.level  copied
     ├─ forecast.predictions.prediction  computed
     └─ forecast.predictions.baseline  computed"""
    )
    diamond = LineageGraph(
        {"a": ("x",), "b": ("y", "z"), "c": ("w",), "d": ("v",)},
        tuple(
            ColumnEdge(named(source), named(target), "copied")
            for source, target in (("a.x", "b.y"), ("a.x", "b.z"), ("b.y", "c.w"), ("b.z", "c.w"), ("c.w", "d.v"))
        ),
    )
    assert (
        as_tree(diamond, [named("a.x")], up=True, down=True)
        == """\
a.x
  comes from
  └─ nothing
  goes into
  ├─ b.y  copied
  │  └─ c.w  copied
  │     └─ d.v  copied
  └─ b.z  copied
     └─ c.w  copied, as above"""
    )


def test_json_has_a_name_for_its_shape_and_says_what_was_asked(graph: LineageGraph) -> None:
    asked = graph.named("trend.level")
    assert json.loads(as_json(graph.around(asked, up=True, down=False), asked)) == {
        "format": "mlops-assets/lineage/1",
        "asked": [{"table": "trend", "column": "level"}],
        "columns": [
            {"table": "sales", "column": "units", "sensitivity": "internal", "sensitivity_reason": ""},
            {"table": "trend", "column": "level", "sensitivity": "internal", "sensitivity_reason": ""},
        ],
        "edges": [
            {
                "from": {"table": "sales", "column": "units"},
                "to": {"table": "trend", "column": "level"},
                "how": "computed",
            }
        ],
    }


def test_the_markdown_table_has_a_line_for_each_column_and_what_decides_below() -> None:
    edges = [
        ColumnEdge(named("sales.units"), named("t.level"), "computed"),
        ColumnEdge(named("sales.price"), named("t.level"), "computed"),
        ColumnEdge(named("sales.shop"), named("t.level"), "rows"),
        ColumnEdge(named("sales.shop"), named("t.shop"), "copied"),
    ]
    assert (
        as_markdown(["shop", "level", "one"], edges)
        == """\
| column | from | how |
|---|---|---|
| shop | sales.shop | copied |
| level | sales.units, sales.price | computed |
| one |  | none: a constant, a count of rows, or set by the platform |

Which rows are used depends on: sales.shop."""
    )


def test_columns_that_are_too_many_to_read_are_counted_in_the_markdown_table() -> None:
    edges = [ColumnEdge(named(f"wide.c{number}"), named("t.sum"), "computed") for number in range(7)]
    edges.append(ColumnEdge(named("other.c"), named("t.sum"), "computed"))
    assert "| sum | 7 columns of wide, other.c | computed |" in as_markdown(["sum"], edges)


def test_the_drawing_is_one_file_with_names_for_all_it_shows(graph: LineageGraph) -> None:
    asked = graph.named("trend.level")
    part = graph.around(asked, up=True, down=True, rows=True)
    text = as_svg(part, asked)
    svg = ElementTree.fromstring(text)
    assert svg.find(f"{SVG}title").text == "Column lineage of trend.level"  # type: ignore[union-attr]
    assert (svg.get("aria-labelledby"), svg.get("role")) == (
        "lineage-title lineage-description",
        "graphics-document document",
    )
    shown = [element.text for element in svg.iter(f"{SVG}text")]
    assert {name for columns in part.tables.values() for name in columns} | set(part.tables) <= set(shown)
    arrows = [path.find(f"{SVG}title").text for path in svg.findall(f"{SVG}path")]  # type: ignore[union-attr]
    assert sorted(map(str, arrows)) == sorted(f"{e.source} to {e.target}: {e.how}" for e in part.edges)
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert "<script" not in text


def test_the_drawing_can_stand_inside_a_page_without_changing_it(graph: LineageGraph) -> None:
    text = as_svg(graph, [])
    style = text[text.index("<style>") + 7 : text.index("</style>")]
    rules = [rule.strip() for rule in re.findall(r"([^{}]+)\{", style)]
    assert rules and all(rule.startswith((".lineage", "@media")) for rule in rules)
    ids = re.findall(r' id="([^"]+)"', text)
    assert ids and all(name.startswith("lineage-") for name in ids)
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)


@given(any_graph())
def test_tables_of_the_drawing_do_not_overlap_and_lie_inside_it_from_left_to_right(graph: LineageGraph) -> None:
    svg = ElementTree.fromstring(as_svg(graph, []))
    cards = {}
    for group in svg.findall(f"{SVG}g[@role='group']"):
        card = next(iter(group.iter(f"{SVG}rect")))
        x, y, width, height = (float(card.get(side, "nan")) for side in ("x", "y", "width", "height"))
        cards[str(group.get("aria-label")).removeprefix("Table ")] = (x, y, x + width, y + height)
    assert set(cards) == set(graph.tables)
    for table, (left, top, right, bottom) in cards.items():
        assert left >= 0 and top >= 0
        assert right <= float(svg.get("width", "nan")) and bottom <= float(svg.get("height", "nan"))
        for other, (left_of, top_of, right_of, bottom_of) in cards.items():
            apart = right < left_of or right_of < left or bottom < top_of or bottom_of < top
            assert other == table or apart
    assert all(cards[edge.source.table][2] < cards[edge.target.table][0] for edge in graph.edges)


def test_the_drawing_of_a_column_without_lineage_is_that_column(graph: LineageGraph) -> None:
    asked = graph.named("sales.channel")
    svg = ElementTree.fromstring(as_svg(graph.around(asked, up=True, down=True), asked))
    assert [element.text for element in svg.iter(f"{SVG}text")] == ["sales", "channel"]
