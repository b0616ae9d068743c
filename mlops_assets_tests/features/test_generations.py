"""A table's generations: each kept and recorded, its past asked for, and compared column by column."""

import json
from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlops_assets.errors import DefinitionError, MissingDataError
from mlops_assets.features.corrections import Computed, record_computed
from mlops_assets.features.feature_tables import tables_evidence
from mlops_assets.features.generations import (
    TableAgreement,
    compare_generations,
    generation_as_stored,
    generations,
    missing_history,
)
from mlops_assets.features.training_sets import build_training_set
from mlops_assets.lakehouse.delta import DeltaFolder
from mlops_assets.lakehouse.schema import Column, TableSchema
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.operations.check import check_home
from mlops_assets.project.reads import table_reads
from mlops_assets.storage.opening import storage_at
from mlops_assets_tests.small_line import FIRST, SHOPS, Line, hours, lived_line

DAYS = 5
LAST = "2024-01-09"
WEEK = """\
type: mlops_assets.FeatureTable
attributes:
  name: week
  description: Sales of a week
  primary_keys: [shop]
  timestamp: day
  sql: week.sql
  history: 3 days
  columns:
    shop: {type: string, description: Shop}
    day: {type: date, description: Day}
    highest: {type: double, description: Highest level}
"""
WEEK_SQL = "SELECT shop, max(day) AS day, max(level) AS highest FROM trend GROUP BY shop\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    made = lived_line(tmp_path_factory, DAYS)
    made.files.write("week/defs.yaml", WEEK)
    made.files.write("week/week.sql", WEEK_SQL)
    made.open()
    for key in made.days(DAYS):
        made.features(key, "week")
    return made


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    return shared.copy(tmp_path / "line")


def add_cost(line: Line, level: str = "ln(units + 1)") -> None:
    """Add a column to `trend`, and compute another one in another way if asked to."""
    line.files.change("trend/trend.sql", "visitors AS crowd", "visitors AS crowd, price AS cost")
    line.files.change("trend/trend.sql", "ln(units + 1)", level)
    line.files.change(
        "trend/defs.yaml",
        "description: Visitors}",
        "description: Visitors}\n    cost: {type: double, description: Price}",
    )
    line.open()


def recompute(line: Line, *names: str) -> None:
    for name in names or ("trend", "week"):
        for key in line.days(DAYS):
            line.features(key, name)


def compare(line: Line, *columns: str, name: str = "trend") -> TableAgreement:
    """The present generation of a table against the first one."""
    (first, *_) = generations(line.platform, name)
    before = line.platform.generation_folder(name, first.generation)
    return compare_generations(line.platform, before, line.platform.table(name), columns or None, line.period(FIRST))


def test_a_generation_is_recorded_once_with_all_that_it_is_made_of(line: Line) -> None:
    (record,) = generations(line.platform, "trend")
    table = line.platform.project.feature_tables["trend"]
    assert (record.generation, record.number, record.definition) == (table.generation, 1, table.parts)
    assert record.types == {"shop": "string", "day": "date", "level": "double", "crowd": "bigint"}
    assert record.definition["input sales"] == "source"
    assert record.first_seen == line.period(FIRST).end + hours(48)
    add_cost(line)
    line.features(LAST)
    line.features(LAST)
    assert [found.number for found in generations(line.platform, "trend")] == [1, 2]


def test_an_earlier_generation_stays_and_can_be_read(line: Line) -> None:
    before = line.platform.table("trend").data_version(line.period(LAST))
    add_cost(line)
    recompute(line, "trend")
    first, second = generations(line.platform, "trend")
    kept = generation_as_stored(line.platform, line.platform.table("trend"), first)
    assert set(kept.schema.value_names) == {"crowd", "level"}
    assert kept.data_version(line.period(LAST)) == before
    assert "cost" in second.types


def test_the_order_of_columns_changes_neither_generation_nor_what_is_stored(line: Line) -> None:
    generation = line.platform.project.feature_tables["trend"].generation
    before = line.platform.table("trend").data_version(line.period(LAST))
    level = "    level: {type: double, description: Logarithm of the units}\n"
    line.files.change("trend/defs.yaml", level, "")
    line.files.change("trend/defs.yaml", "    shop: {type", f"{level}    shop: {{type")
    line.open()
    assert line.platform.project.feature_tables["trend"].generation == generation
    assert line.platform.project.feature_tables["trend"].schema.names[0] == "level"
    assert line.platform.table("trend").data_version(line.period(LAST)) == before
    assert line.features(LAST).appended == 0
    line.sales(LAST, s03=9)
    assert line.features(LAST).appended == 1


def test_an_added_column_leaves_the_history_of_the_others_as_it_was(line: Line) -> None:
    add_cost(line)
    waiting = compare(line, "level", "crowd")
    assert waiting.missing == tuple(line.days(DAYS))
    assert "5 periods (2024-01-05 to 2024-01-09) of 'trend' are not computed in its present generation" in waiting.words
    recompute(line, "trend")
    found = compare(line, "level", "crowd")
    assert (found.partitions, found.missing, found.differs) == (tuple(line.days(DAYS)), (), None)
    assert found.words == (
        f"level, crowd of 'trend' {found.now} are the same as in {found.before} in all 5 periods "
        "(2024-01-05 to 2024-01-09)"
    )
    assert compare(line).differs == (FIRST, "cost")  # all columns, and none may have been added


def test_states_in_which_only_the_added_column_changed_do_not_count(line: Line) -> None:
    late = line.period(LAST).end + hours(72)
    dearer = "".join(f"{LAST},{shop},7,9.5,true,web\n" for shop in SHOPS)
    line.deliver("sales", dearer, LAST, at=late)
    line.features(LAST)
    dearest = dearer.replace("9.5", "11.5")
    line.deliver("sales", dearest, LAST, at=late + hours(1))
    assert line.features(LAST).appended == 0  # `trend` has no price so far
    add_cost(line)
    recompute(line, "trend")
    known = line.platform.table("trend").states(line.period(LAST), line.period(LAST))
    assert len(set(known["known_at"].to_pylist())) == 3
    assert compare(line, "level", "crowd").differs is None


def test_corrections_that_an_earlier_generation_never_saw_do_not_count(line: Line) -> None:
    add_cost(line)
    line.sales(LAST, at=line.period(LAST).end + hours(72), s03=9)
    recompute(line, "trend")
    assert compare(line, "level", "crowd").differs is None
    line.sales(LAST, at=line.period(LAST).end + hours(80), s03=10)
    line.features(LAST)
    assert compare(line, "level", "crowd").differs is None


def test_what_differs_is_named_with_its_period(line: Line) -> None:
    add_cost(line, level="ln(units + 1) + CASE WHEN sales.day = '2024-01-07' THEN 1 ELSE 0 END")
    recompute(line, "trend")
    found = compare(line, "crowd", "level")
    assert found.differs == ("2024-01-07", "level")
    assert found.words == f"'trend' has in 2024-01-07 other values of 'level' than generation {found.before} had"
    assert compare(line, "crowd").differs is None


def test_a_row_that_is_gone_differs_in_every_column(line: Line) -> None:
    line.files.change("trend/trend.sql", "USING (shop, day)", "USING (shop, day) WHERE shop <> 's03'")
    line.open()
    recompute(line, "trend")
    assert compare(line, "crowd").differs == (FIRST, "crowd")


def test_what_reads_a_changed_column_gets_a_generation_too_and_waits_for_its_history(line: Line) -> None:
    add_cost(line, level="ln(1 + units)")
    line.features(LAST)
    with pytest.raises(MissingDataError) as caught:
        line.features(LAST, "week")
    assert caught.value.found == (
        "'trend' has a new definition, and 2 periods (2024-01-07 to 2024-01-08) of it are not computed under it"
    )
    assert caught.value.cure == "run `mlops-assets backfill trend` (`mlops-assets plan` says what it costs)"
    table = line.platform.table("week")
    assert missing_history(table, line.period(FIRST), line.period(LAST)) == line.days(DAYS)
    recompute(line)
    assert missing_history(table, line.period(FIRST), line.period(LAST)) == []
    assert compare(line, name="week").differs is None


def test_who_does_not_read_an_added_column_keeps_generation_and_data_versions_and_what_is_recorded_as_read(
    line: Line,
) -> None:
    def seen() -> tuple[str, str, list[str]]:
        table = line.platform.project.feature_tables["week"]
        reads = table_reads(line.platform.project, table)
        read = tables_evidence(line.platform, reads, line.period("2024-01-07"), line.period(LAST))
        data_version = line.platform.table("week").data_version(line.period(LAST))
        return table.generation, data_version, [item.data_version for item in read]

    before, whole = seen(), line.platform.table("trend").data_version(line.period(LAST))
    add_cost(line)
    with pytest.raises(MissingDataError):
        line.features(LAST, "week")
    recompute(line, "trend")
    assert line.platform.table("trend").data_version(line.period(LAST)) != whole
    assert line.features(LAST, "week").appended == 0
    assert seen() == before


def test_a_training_lacks_nothing_of_the_past(line: Line) -> None:
    model = line.model
    known_in = model.schema.calendar.shift(line.period(FIRST), model.label.known_after)
    line.files.change("forecast/defs.yaml", "min_rows: 60", "min_rows: 1")
    line.open()
    assert build_training_set(line.platform, line.model, known_in).rows.num_rows == len(SHOPS)
    add_cost(line)
    with pytest.raises(MissingDataError) as caught:
        build_training_set(line.platform, line.model, known_in)
    assert caught.value.found.startswith("'trend' has a new definition, and 1 period (2024-01-05) of it")
    recompute(line, "trend")
    assert build_training_set(line.platform, line.model, known_in).rows.num_rows == len(SHOPS)


def test_a_retyped_column_that_models_look_up_is_refused_with_all_of_them(line: Line) -> None:
    forecast = (line.folder / "project/forecast/defs.yaml").read_text(encoding="utf-8")
    for name in ("selling.sql", "growth.sql"):
        line.files.write(f"second/{name}", (line.folder / f"project/forecast/{name}").read_bytes())
    line.files.write("second/defs.yaml", forecast.replace("name: forecast", "name: second"))
    line.files.change("trend/defs.yaml", "crowd: {type: bigint", "crowd: {type: double")
    line.open()
    folder = line.folder / "project"
    for refuse in (lambda: line.features(LAST), lambda: check_home(line.platform.project, line.platform.home)):
        with pytest.raises(DefinitionError) as caught:
            refuse()
        assert caught.value.found == (
            "column 'crowd' of 'trend' declared as double; it was computed as bigint, and is looked up by "
            f"forecast ({folder}/forecast/defs.yaml:1), second ({folder}/second/defs.yaml:1)"
        )
        assert str(caught.value.where) == f"{folder}/trend/defs.yaml:{line.files.line('trend/defs.yaml', 'crowd')}"
    assert len(generations(line.platform, "trend")) == 1
    for name in ("forecast", "second"):
        line.files.change(f"{name}/defs.yaml", "[level, crowd]", "[level]")
    line.open().features(LAST)  # nobody looks it up any more


def test_a_retyped_column_of_a_source_is_refused_as_well(line: Line) -> None:
    for written, type_ in (("bigint", "bigint"), ('"DECIMAL(4,2)"', "decimal(4,2)")):
        line.files.change("sales/defs.yaml", "region: {type: string", f"region: {{type: {written}")
        line.open()
        with pytest.raises(DefinitionError) as caught:
            check_home(line.platform.project, line.platform.home)
        told = f"column 'region' of 'shops' declared as {type_}; it was stored as string, "
        assert caught.value.found.startswith(told)
        line.files.change("sales/defs.yaml", f"region: {{type: {written}", "region: {type: string")


def test_a_column_of_a_source_that_nobody_looks_up_keeps_its_type_as_well(line: Line) -> None:
    line.files.change("sales/defs.yaml", "price: {type: double", "price: {type: string")
    line.open()
    with pytest.raises(DefinitionError) as caught:
        check_home(line.platform.project, line.platform.home)
    assert (caught.value.found, caught.value.expected, caught.value.cure) == (
        "column 'price' of 'sales' declared as string; it was stored as double",
        "type double, as its rows are stored",
        "add a column of another name with the new type",
    )


def test_a_removed_column_is_refused_with_every_model_that_looks_it_up(line: Line) -> None:
    forecast = (line.folder / "project/forecast/defs.yaml").read_text(encoding="utf-8")
    for name in ("selling.sql", "growth.sql"):
        line.files.write(f"second/{name}", (line.folder / f"project/forecast/{name}").read_bytes())
    line.files.write("second/defs.yaml", forecast.replace("name: forecast", "name: second"))
    line.files.change("trend/defs.yaml", "    crowd: {type: bigint, description: Visitors}\n", "")
    refused = line.files.refusal()
    folder, number = line.folder / "project", line.files.line("forecast/defs.yaml", "table: trend")
    assert refused.found == (
        "column 'crowd', which 'trend' does not have, and which 2 models look up: "
        f"forecast ({folder}/forecast/defs.yaml:{number}), second ({folder}/second/defs.yaml:{number})"
    )


def test_the_generations_of_a_table_are_shown(line: Line) -> None:
    from mlops_assets.models.shown_generations import as_text, shown_generations

    add_cost(line)
    line.features(LAST)
    shown = shown_generations(line.platform, line.platform.project.feature_tables["trend"])
    assert [(item.present, len(item.periods), item.trained) for item in shown] == [(False, 5, ()), (True, 1, ())]
    assert json.loads(json.dumps(asdict(shown[1]), default=str))["definition"]["column cost"] == "double"
    text = as_text(shown)
    assert "holds 5 periods (2024-01-05 to 2024-01-09)" in text
    assert text.count("  history:\n    +8 days") == 1  # what did not change is said once
    assert text.count("  column cost:\n    +double") == 1
    assert text.endswith("    +  price AS cost\n     FROM sales")


MOMENTS = [datetime(2024, 1, 6, tzinfo=UTC) + timedelta(days=number) for number in range(4)]
LEVELS = st.sampled_from([None, 0.0, 1.0])
HISTORY = st.lists(st.tuples(LEVELS, st.integers(0, 1), st.booleans()), min_size=len(MOMENTS), max_size=len(MOMENTS))
"""What is known of one row at each moment: level, another column, and whether it is there."""


def as_known(history: list[tuple[float | None, int, bool]]) -> list[float | str | None]:
    """The level at each moment, or that there is no row."""
    return [level if there else "no row" for level, _, there in history]


def write_history(table: StateTable, history: list[tuple[float | None, int, bool]], *, other: bool) -> None:
    """Append the states that say so, as evaluating at each moment would; ``other`` tells whether it has that column."""
    import pyarrow as pa

    before: dict[str, object] | None = None
    for number, (moment, (level, cost, there)) in enumerate(zip(MOMENTS, history, strict=True)):
        values: dict[str, object] = {"level": level, **({"cost": cost} if other else {})}
        was_there = before is not None and not before["removed"]
        if not there and not was_there:
            rows = []
        elif not there:
            rows = [{**(before or {}), "removed": True}]
        else:
            rows = [] if was_there and before == {**values, "removed": False} else [{**values, "removed": False}]
        before = rows[0] if rows else before
        fixed = {"shop": "s", "day": date(2024, 1, 5), "event_time": datetime(2024, 1, 5, tzinfo=UTC)}
        stored = [{**row, **fixed, "known_at": moment, "seq": number + 1, "period": FIRST} for row in rows]
        table.delta.append(pa.Table.from_pylist(stored, schema=table.schema.stored()), {FIRST: number})


@pytest.mark.slow
@settings(max_examples=40)
@example(first=[(None, 0, False)] * 4, second=[(None, 0, False)] * 3 + [(None, 0, True)], costs=[0] * 4)
@given(first=HISTORY, second=st.none() | HISTORY, costs=st.lists(st.integers(0, 1), min_size=4, max_size=4))
def test_histories_are_found_the_same_where_nobody_could_tell_them_apart(
    shared: Line, first: list[Any], second: list[Any] | None, costs: list[int]
) -> None:
    again = second or [(level, cost, there) for (level, _, there), cost in zip(first, costs, strict=True)]
    day = shared.period(FIRST)
    columns = [Column("shop", "string"), Column("day", "date"), Column("level", "double"), Column("cost", "bigint")]
    schema = TableSchema(("shop",), "day", tuple(columns), shared.model.schema.calendar)
    with TemporaryDirectory() as folder:
        before = StateTable(
            DeltaFolder(storage_at(Path(folder) / "before"), "made"), replace(schema, columns=tuple(columns[:3]))
        )
        now = StateTable(DeltaFolder(storage_at(folder) / "now", "made"), schema)
        write_history(before, first, other=False)
        write_history(now, again, other=True)
        record_computed(shared.platform.computed(before), day, Computed({}, MOMENTS[-1]))
        found = compare_generations(shared.platform, before.delta, now, ["level"], day)
    assert (found.differs is None) == (as_known(first) == as_known(again))
