"""A column that a table's schema got after some of its states were written: null in those, on every engine."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.engines.contract import Engine, QueryInput, ResolvedLookup
from mlops_assets.engines.query import parse_query
from mlops_assets.lakehouse.compaction import MAX_FILES_OF_PERIOD, compact
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets_tests.engines import contract_pack as pack
from mlops_assets_tests.engines.contract_pack import SALES, Tables, at, month, sale

EARLIER = replace(SALES, columns=tuple(column for column in SALES.columns if column.name != "note"))
EARLY = [sale(None, at(1), at(2)), sale(None, at(1), at(2), shop="south"), sale(None, at(2), at(3))]
CORRECTED = [sale("corrected", at(1), at(4), seq=2, units=5.0)]
LATE = [sale("new", at(3), at(4))]


def written(tables: Tables, *late: Sequence[dict[str, Any]]) -> tuple[StateTable, StateTable]:
    """A table whose note was declared after its first commit, and one that held the same from the beginning."""
    grown = tables.empty(EARLIER)
    pack.append(grown, [{name: value for name, value in state.items() if name != "note"} for state in EARLY])
    grown = StateTable(grown.delta, SALES)
    for states in late:
        pack.append(grown, states)
    return grown, tables.of(EARLY, *late)


@pytest.mark.parametrize("late", [(), (LATE,), (CORRECTED, LATE)], ids=["never", "in new periods", "in old ones too"])
def test_a_column_is_null_where_it_was_declared_later(
    engine: Engine, tables: Tables, late: Sequence[Sequence[dict[str, Any]]]
) -> None:
    def answers(table: StateTable) -> list[Any]:
        query = parse_query("select shop, product, sold_at, units, note from sales", file=Path("copy.sql"))
        seen = QueryInput(table, month(1), month(3))
        asked = pack.label_table([pack.label(at(3, 31), at(5)), pack.label(at(2, 28), at(5), shop="south")])
        lookup = ResolvedLookup(table, ("units", "note"), None)
        delivered = engine.to_arrow(engine.known_at(tables.of(EARLY, LATE), at(5))).select(SALES.names)
        changes = engine.changes(
            table, delivered, covered=[month(1), month(2), month(3)], seen_at=at(5), missing_is_removed=True
        )
        return [
            engine.known_at(table, at(5)).to_pylist(),
            engine.evaluate(query, [seen], known_at=at(5), schema=SALES, keep=month(1)).to_pylist(),
            engine.lookup(asked, [lookup]).to_pylist(),
            sorted(changes.states.to_pylist(), key=repr),
            engine.changed_keys(table, first=month(1), last=month(3), after=None, version=table.delta.version() or 0),
        ]

    grown, whole = written(tables, *late)
    assert answers(grown) == answers(whole)


def test_a_column_that_was_declared_later_changes_no_data_version_of_what_was_written_before(
    engine: Engine, tables: Tables
) -> None:
    grown, whole = written(tables, CORRECTED)
    months = [month(1), month(2)]
    before = engine.data_versions(StateTable(grown.delta, EARLIER), months)
    now = engine.data_versions(grown, months)
    assert now == grown.data_versions(months)  # as hashed in this process
    assert now["2024-02"] == before["2024-02"]
    assert now["2024-01"] == whole.data_version(month(1)) != before["2024-01"]


def test_a_column_that_is_declared_no_more_stays_in_what_was_written_before(engine: Engine, tables: Tables) -> None:
    table = tables.of(EARLY, LATE)
    shrunk = StateTable(table.delta, EARLIER)
    pack.append(shrunk, [{name: value for name, value in sale(None, at(4), at(5)).items() if name != "note"}])
    assert engine.known_at(table, at(5)).column("note").to_pylist() == [None, None, "new", None, None]
    assert "note" not in engine.known_at(shrunk, at(5)).column_names


def test_compaction_leaves_what_was_written_before_a_column(tables: Tables) -> None:
    grown = tables.empty(EARLIER)
    for seq in range(1, MAX_FILES_OF_PERIOD + 3):
        state = sale(None, at(1), at(2), seq=seq, units=float(seq))
        pack.append(grown, [{name: value for name, value in state.items() if name != "note"}])
    grown = StateTable(grown.delta, SALES)
    for seq in range(1, MAX_FILES_OF_PERIOD + 3):
        pack.append(grown, [sale("late", at(2), at(3), seq=seq, units=float(seq))])
    before = grown.data_versions([month(1), month(2)])
    done = compact(grown.delta)
    assert done is not None and done.periods == 1
    assert len(grown.files(month(1), month(1))) == MAX_FILES_OF_PERIOD + 2
    assert StateTable(grown.delta, SALES).data_versions([month(1), month(2)]) == before


def test_two_writers_that_both_bring_a_new_column_add_it_once(tables: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    grown, _ = written(tables)
    from deltalake.table import TableAlterer

    add = TableAlterer.add_columns

    def overtaken(*arguments: Any) -> None:
        monkeypatch.undo()
        pack.append(grown, LATE)
        add(*arguments)

    monkeypatch.setattr(TableAlterer, "add_columns", overtaken)
    pack.append(grown, [sale("second", at(4), at(5))])
    assert [row["note"] for row in grown.states().sort_by("event_time").to_pylist()][-2:] == ["new", "second"]
