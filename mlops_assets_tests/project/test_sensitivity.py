"""How sensitive columns are: as the most sensitive of what they are computed from, unless less is declared and why."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import Location
from mlops_assets.features.lineage import feature_table_lineage
from mlops_assets.lakehouse.schema import Column, Sensitivity, greatest
from mlops_assets.project.definition import ProjectDefinition
from mlops_assets_tests.project.small_project import SmallProject

PAY = """\
type: mlops_assets.Source
attributes:
  name: pay
  description: What people earn
  primary_keys: [person]
  timestamp: day
  period: day
  first_period: 2024-01-01
  columns:
    person: {type: string, description: Staff number}
    day: {type: date, description: Day}
    name: {type: string, description: Their name, sensitivity: personal}
    salary: {type: double, description: Their salary, sensitivity: personal}
    site: {type: string, description: Where they work}
    floor: {type: bigint, description: Where they sit, sensitivity: public}
"""
DERIVED = """\
type: mlops_assets.FeatureTable
attributes:
  name: derived
  description: Computed from pay
  primary_keys: [person]
  timestamp: day
  sql: derived.sql
  history: 1 day
  columns:
    person: {type: string, description: Staff number}
    day: {type: date, description: Day}
    made: {type: string, description: What the SQL makes}
"""
FUNCTION = """\
def features(pay):
    return pay.assign(made=pay["site"])[["person", "day", "made"]]
"""
MODEL = """\
type: mlops_assets.Model
attributes:
  name: raises
  description: What people will earn
  task: regression
  primary_keys: [person]
  timestamp: day
  population: staff.sql
  history: 4 days
  label: {sql: later.sql, column: later, horizon: 1}
  baseline: seen
  features:
    - {table: derived, columns: [made], rename: {made: seen}}
  template: {name: ridge_regressor}
  train: {validation: 7 days}
  gates: [{metric: mae, better_than: baseline}]
  retrain: {cool_down: 7 days, max_age: 28 days}
"""
LATER = """\
SELECT now.person, now.day, later.floor AS later
FROM pay AS now JOIN pay AS later ON later.person = now.person AND later.day = now.day + INTERVAL 1 DAY
"""


def derived(project: SmallProject, made: str, rest: str = "FROM pay") -> SmallProject:
    """The project with a feature table whose SQL makes a column of some expression."""
    project.write("pay/defs.yaml", PAY)
    project.write("derived/defs.yaml", DERIVED)
    project.write("derived/derived.sql", f"SELECT person, day, {made} AS made {rest}\n")
    return project


def with_model(project: SmallProject, made: str = "floor") -> SmallProject:
    """The project with a model that looks that column up."""
    derived(project, made).change("derived/defs.yaml", "made: {type: string", "made: {type: double")
    project.write("raises/defs.yaml", MODEL)
    project.write("raises/staff.sql", "SELECT person, day FROM pay\n")
    project.write("raises/later.sql", LATER)
    return project


def column(project: ProjectDefinition, name: str = "made") -> Column:
    return project.feature_tables["derived"].schema.column(name)


@pytest.mark.parametrize(
    ("made", "rest", "sensitivity"),
    [
        ("name", "FROM pay", "personal"),
        ("CASE WHEN salary > 100 THEN 'much' ELSE 'little' END", "FROM pay", "personal"),
        ("upper(substr(name, 1, 3)) || '…'", "FROM pay", "personal"),
        ("max(name)", "FROM pay GROUP BY person, day", "personal"),
        ("any_value(name ORDER BY name)", "FROM pay GROUP BY person, day", "personal"),
        ("lag(name) OVER (PARTITION BY person ORDER BY day)", "FROM pay", "personal"),
        ("given", "FROM (SELECT person, day, name AS given FROM pay)", "personal"),
        ("site", "FROM pay WHERE salary > 100", "personal"),
        ("count(*)", "FROM pay GROUP BY person, day, name", "personal"),
        ("row_number() OVER (ORDER BY salary)", "FROM pay", "personal"),
        ("site", "FROM pay", "internal"),
        ("floor", "FROM pay", "public"),
        ("floor || site", "FROM pay", "internal"),
        ("'none'", "FROM pay", "internal"),
    ],
)
def test_a_column_is_as_sensitive_as_what_sql_computes_it_from(
    project: SmallProject, made: str, rest: str, sensitivity: Sensitivity
) -> None:
    assert column(derived(project, made, rest).load()).sensitivity == sensitivity


def test_a_key_is_personal_where_rows_are_chosen_by_what_is(project: SmallProject) -> None:
    assert column(derived(project, "site").load(), "person").sensitivity == "internal"
    assert column(derived(project, "site", "FROM pay WHERE salary > 1").load(), "person").sensitivity == "personal"


def test_a_column_stays_personal_through_tables_that_read_one_another(project: SmallProject) -> None:
    derived(project, "name")
    second = DERIVED.replace("name: derived", "name: second").replace("derived.sql", "second.sql")
    project.write("second/defs.yaml", second)
    project.write("second/second.sql", "SELECT person, day, lower(made) AS made FROM derived\n")
    assert project.load().feature_tables["second"].schema.column("made").sensitivity == "personal"


def test_every_column_of_a_function_is_as_sensitive_as_anything_that_it_is_given(project: SmallProject) -> None:
    derived(project, "site").write("derived/made.py", FUNCTION)
    project.change("derived/defs.yaml", "  sql: derived.sql", "  python: made:features\n  inputs: [pay]")
    assert {one.sensitivity for one in project.load().feature_tables["derived"].schema.columns} == {"personal"}
    project.change(
        "derived/defs.yaml", "What the SQL makes", "Site, sensitivity: internal, sensitivity_reason: No person"
    )
    assert column(project.load()).sensitivity == "internal"


def test_a_window_is_as_sensitive_as_its_column_its_key_and_its_condition(project: SmallProject) -> None:
    project.write("pay/defs.yaml", PAY)
    windows = "windows: {source: pay, aggregations: [{column: floor, functions: [count], windows: [7 days]}]}"
    text = DERIVED.partition("  columns:")[0].replace("sql: derived.sql\n  history: 1 day", windows)
    project.write("derived/defs.yaml", text)
    assert column(project.load(), "floor_count_7_days").sensitivity == "internal"
    project.change("derived/defs.yaml", "source: pay,", "source: pay, where: salary > 100,")
    assert column(project.load(), "floor_count_7_days").sensitivity == "personal"
    described = "\n  columns: {floor_count_7_days: {type: bigint, description: Days}}\n"
    project.change("derived/defs.yaml", windows.replace("pay,", "pay, where: salary > 100,", 1),
                   windows.replace("pay,", "pay, where: salary > 100,", 1) + described)  # fmt: skip
    assert column(project.load(), "floor_count_7_days").sensitivity == "personal", "another description hides nothing"


def test_less_sensitive_than_its_origins_needs_a_reason_and_the_refusal_names_the_line(project: SmallProject) -> None:
    derived(project, "avg(salary)", "FROM pay GROUP BY person, day")
    project.change("derived/defs.yaml", "What the SQL makes", "Mean, sensitivity: internal")
    error = project.refusal()
    assert error.found == (
        "sensitivity 'internal' for 'made', which is computed, by value or by rows, from what is personal: pay.salary"
    )
    assert error.where == Location(
        project.folder / "derived/defs.yaml", project.line("derived/defs.yaml", "sensitivity: internal")
    )
    project.change("derived/defs.yaml", "sensitivity: internal", "sensitivity: internal, sensitivity_reason: ' '")
    assert project.refusal().found == error.found, "blanks are no reason"
    project.change("derived/defs.yaml", "sensitivity_reason: ' '", "sensitivity_reason: A mean of hundreds")
    made = column(project.load())
    assert (made.sensitivity, made.sensitivity_reason) == ("internal", "A mean of hundreds")


def test_more_sensitive_than_its_origins_needs_no_reason(project: SmallProject) -> None:
    derived(project, "site").change("derived/defs.yaml", "What the SQL makes", "Site, sensitivity: personal")
    made = column(project.load())
    assert (made.sensitivity, made.sensitivity_reason) == ("personal", "")


def test_a_constant_may_be_called_public(project: SmallProject) -> None:
    derived(project, "'none'").change("derived/defs.yaml", "What the SQL makes", "None, sensitivity: public")
    assert column(project.load()).sensitivity == "public"


def test_a_reason_for_nothing_is_refused(project: SmallProject) -> None:
    derived(project, "site").change("derived/defs.yaml", "What the SQL makes", "Site, sensitivity_reason: Harmless")
    assert project.refusal().found == "a sensitivity_reason for 'made' without a sensitivity"


def test_sensitivity_decides_no_generation(project: SmallProject) -> None:
    before = derived(project, "name").load().feature_tables["derived"].generation
    project.change("derived/defs.yaml", "What the SQL makes", "S, sensitivity: public, sensitivity_reason: Known")
    assert project.load().feature_tables["derived"].generation == before


# Models


def sensitivities(project: SmallProject) -> dict[str, Sensitivity]:
    model = project.load().models["raises"]
    columns = [*model.schema.columns, model.label_column, *model.predictions_schema.columns, *model.request]
    return {one.name: one.sensitivity for one in columns}


def test_a_looked_up_feature_the_prediction_and_the_baseline_are_as_sensitive_as_the_tables_column(
    project: SmallProject,
) -> None:
    found = sensitivities(with_model(project, "salary"))
    assert {name: found[name] for name in ("person", "later", "seen", "prediction", "baseline")} == {
        "person": "internal", "later": "internal", "seen": "personal", "prediction": "personal", "baseline": "personal",
    }  # fmt: skip


def test_what_a_model_says_of_its_columns_needs_a_reason_too_and_reaches_the_prediction(project: SmallProject) -> None:
    with_model(project, "salary")
    project.change("raises/defs.yaml", "  template:", "  columns: {seen: {sensitivity: internal}}\n  template:")
    error = project.refusal()
    assert error.found.endswith("from what is personal: derived.made")
    assert error.where and error.where.line == project.line("raises/defs.yaml", "columns: {seen")
    project.change("raises/defs.yaml", "internal}}", "internal, sensitivity_reason: In bands}}")
    found = sensitivities(project)
    assert (found["seen"], found["prediction"]) == ("internal", "internal")


def test_a_lowered_prediction_does_not_lower_the_baseline_which_copies_a_feature(project: SmallProject) -> None:
    with_model(project, "salary")
    said = "{prediction: {sensitivity: internal, sensitivity_reason: Estimates}}"
    project.change("raises/defs.yaml", "  template:", f"  columns: {said}\n  template:")
    found = sensitivities(project)
    assert (found["prediction"], found["baseline"], found["seen"]) == ("internal", "personal", "personal")


def test_a_label_is_as_sensitive_as_what_its_sql_computes_it_from(project: SmallProject) -> None:
    with_model(project).change("raises/later.sql", "later.floor AS", "later.salary AS")
    found = sensitivities(project)
    assert (found["later"], found["prediction"], found["seen"]) == ("personal", "personal", "public")


def test_a_request_column_and_what_is_found_or_computed_by_it_are_as_sensitive_as_in_the_population(
    project: SmallProject,
) -> None:
    with_model(project)
    project.write("raises/staff.sql", "SELECT person, day, name AS friend, salary AS wage FROM pay\n")
    project.change(
        "raises/defs.yaml",
        "  template:",
        "  request:\n    columns:\n"
        "      friend: {type: string, description: Whom they know}\n"
        "      wage: {type: double, description: What they say}\n"
        "  computed: [{name: twice, type: double, description: Twice, expression: WAGE * 2}]\n"
        "  template:",
    )
    project.change(
        "raises/defs.yaml",
        "    - {table: derived,",
        "    - {table: derived, columns: [made], lookup_key: [friend], rename: {made: theirs}}\n    - {table: derived,",
    )
    found = sensitivities(project)
    assert {name: found[name] for name in ("friend", "wage", "twice", "theirs", "seen")} == {
        "friend": "personal", "wage": "personal", "twice": "personal", "theirs": "personal", "seen": "public",
    }  # fmt: skip
    project.change("raises/defs.yaml", "Twice, expression", "Twice, sensitivity: internal, expression")
    assert project.refusal().found.startswith("sensitivity 'internal' for 'twice'")


def test_a_model_says_nothing_of_columns_that_it_does_not_have(project: SmallProject) -> None:
    with_model(project)
    project.change("raises/defs.yaml", "  template:", "  columns: {sean: {sensitivity: personal}}\n  template:")
    error = project.refusal()
    assert error.found.startswith("column 'sean', which is no key")
    assert error.expected == "one of: person, day, seen, later, prediction"


SELECTED = st.sampled_from(["site", "name", "salary", "floor", "'x'", "concat(site, name)", "floor + 1"])
RESTS = st.sampled_from(["", " WHERE salary > 1", " WHERE floor > 1", " QUALIFY row_number() OVER (ORDER BY name) = 1"])


@settings(max_examples=40, deadline=None)
@given(made=SELECTED, rest=RESTS)
def test_no_edge_of_the_lineage_ends_in_something_less_sensitive(
    tmp_path_factory: pytest.TempPathFactory, made: str, rest: str
) -> None:
    project = derived(SmallProject(tmp_path_factory.mktemp("edges")), made, f"FROM pay{rest}").load()
    table, pay = project.feature_tables["derived"], project.sources["pay"].schema
    for edge in feature_table_lineage(project, table):
        ends = pay.column(edge.source.column).sensitivity, table.schema.column(edge.target.column).sensitivity
        assert greatest(ends) == ends[1]
