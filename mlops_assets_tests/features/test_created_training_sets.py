"""Training sets from frames of one's own: every row as the oracle finds it, and the same again from its versions."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.features.training_sets import build_training_set
from mlops_assets.lakehouse.periods import Duration
from mlops_assets.notebook import FeatureLookup, Project, ReadVersions
from mlops_assets_tests.engines import contract_pack as pack
from mlops_assets_tests.engines import oracle
from mlops_assets_tests.small_line import Line, hours, lived_line

pytestmark = pytest.mark.slow
NOW = datetime(2024, 1, 20, tzinfo=UTC)
CORRECTED = "2024-01-08"


def correct(line: Line, units: int, at: datetime) -> None:
    """Another number of units for one shop on one day, from a moment on."""
    line.sales(CORRECTED, at=at, s01=units)
    line.features(CORRECTED)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Line:
    line = lived_line(tmp_path_factory, 9)
    correct(line, 7, datetime(2024, 1, 16, tzinfo=UTC))
    line.platform.home.clock.set(NOW)
    return line


@pytest.fixture
def line(shared: Line, tmp_path: Path) -> Line:
    return shared.copy(tmp_path / "line")


@pytest.fixture(scope="module")
def project(shared: Line) -> Project:
    return Project(shared.platform)


def frame_of(library: str, columns: dict[str, Any]) -> Any:
    """Columns as a frame of Arrow, Polars or pandas."""
    import pyarrow as pa

    rows = pa.table(columns)
    if library == "polars":
        import polars as pl

        return pl.from_arrow(rows)
    return rows.to_pandas() if library == "pandas" else rows


def labels(*rows: tuple[str | None, datetime | date | None]) -> Any:
    """Labels of shops at times, in Arrow, numbered."""
    import pyarrow as pa

    shops, times = zip(*rows, strict=True)
    return pa.table({"number": range(len(rows)), "shop": pa.array(shops, pa.string()), "at": pa.array(times)})


MOMENTS = st.builds(
    lambda day, step: datetime(2024, 1, day, tzinfo=UTC) + step,
    st.integers(3, 21),
    st.sampled_from([timedelta(0), timedelta(microseconds=-1), timedelta(hours=6), timedelta(hours=18)]),
)
ROWS = st.lists(
    st.tuples(st.sampled_from(["s01", "s01", "s02", "nowhere", None]), st.one_of(st.none(), MOMENTS)),
    min_size=1,
    max_size=30,
)
LOOKBACKS = st.sampled_from([None, "1 days", "5 days"])


@given(
    library=st.sampled_from(["pandas", "polars", "arrow"]),
    rows=ROWS,
    zone=st.sampled_from([None, UTC, timezone(timedelta(hours=-5))]),
    lookback=LOOKBACKS,
    as_of=st.one_of(st.none(), st.just("now"), MOMENTS),
)
@settings(max_examples=40)
def test_each_row_comes_back_in_its_place_with_what_the_oracle_finds(
    project: Project, library: str, rows: list[tuple[str | None, datetime | None]], zone: timezone | None,
    lookback: str | None, as_of: Any,
) -> None:  # fmt: skip
    import pyarrow as pa

    given_times = [moment and (moment.astimezone(zone) if zone else moment.replace(tzinfo=None)) for _, moment in rows]
    zone_name = None if zone is None else "UTC" if zone is UTC else "-05:00"
    columns = {
        "number": list(range(len(rows))),
        "shop": pa.array([shop for shop, _ in rows], pa.string()),
        "at": pa.array(given_times, pa.timestamp("us", zone_name)),
    }
    table = project.table("trend").states
    answered = project.create_training_set(
        frame_of(library, columns),
        [FeatureLookup("trend", ["crowd", "level"], lookback=lookback, default={"crowd": -1})],
        timestamp="at",
        as_of=as_of,
    )
    arrow = answered.to_arrow()
    assert arrow.column_names == ["number", "shop", "at", "crowd", "level"]
    assert arrow.column("number").to_pylist() == columns["number"]
    assert [arrow.schema.field(name).type for name in answered.features] == [pa.int64(), pa.float64()]
    states = table.states().to_pylist()
    for (shop, moment), found in zip(rows, arrow.to_pylist(), strict=True):
        asked = {"now": NOW, None: moment}.get(as_of, as_of)
        label = {"shop": shop, "anchor": moment, "as_of": asked and min(asked, NOW)}
        expected = oracle.lookup(states, label, ["shop"], pack.plain(Duration.parse(lookback) if lookback else None))
        assert found["level"] == (expected["level"] if expected else None)
        assert found["crowd"] == (expected["crowd"] if expected and expected["crowd"] is not None else -1)


def test_with_a_models_anchor_and_as_of_the_features_are_those_of_its_training_set(shared: Line) -> None:
    import pyarrow as pa

    period = shared.period("2024-01-12")
    built = build_training_set(shared.platform, shared.model, period).rows
    calendar = shared.model.schema.calendar
    anchors = [
        calendar.of(datetime(day.year, day.month, day.day, tzinfo=UTC)).anchor for day in built["day"].to_pylist()
    ]
    rows = built.select(["shop", "day", "growth"])
    rows = rows.append_column("anchor", pa.array(anchors, pa.timestamp("us", "UTC")))
    rows = rows.append_column("as_of", built["predicted_at"])
    answered = Project(shared.platform).create_training_set(
        rows,
        [FeatureLookup("trend", ["level", "crowd"], lookback=timedelta(days=2)), FeatureLookup("shops")],
        label="growth",
    )
    assert answered.label == ("growth",)
    assert answered.features == shared.model.feature_names
    assert answered.to_arrow().select(answered.features).equals(built.select(answered.features))


def test_corrected_values_are_seen_from_their_correction_on_or_when_now_is_asked_for(project: Project) -> None:
    import math

    at = datetime(2024, 1, 11, tzinfo=UTC)
    rows = labels(("s01", at), ("s01", at + timedelta(days=6)))
    lookups = [FeatureLookup("trend", "level", lookback="30 days")]
    first, second = project.create_training_set(rows, lookups, timestamp="at").to_arrow()["level"].to_pylist()
    assert first != pytest.approx(math.log(8))  # the eighth as it was first known
    assert second not in (first, pytest.approx(math.log(8)))  # the tenth and later are there by then
    now = project.create_training_set(rows, lookups, timestamp="at", as_of="now").to_arrow()["level"].to_pylist()
    assert first not in now
    eighth = labels(("s01", datetime(2024, 1, 8, 12, tzinfo=UTC)))
    assert project.create_training_set(eighth, lookups, timestamp="at", as_of="now").to_arrow()[
        "level"
    ].to_pylist() == [pytest.approx(math.log(8))]
    assert project.create_training_set(eighth, lookups, timestamp="at", as_of="2024-01-15").to_arrow()[
        "level"
    ].to_pylist() == [first]


def test_pandas_keeps_what_it_gave_and_a_bigint_with_nulls_stays_whole_everywhere(project: Project) -> None:
    import pandas as pd  # noqa: TID253

    given_frame = pd.DataFrame(
        {
            "shop": pd.Categorical(["s02", "nowhere", "s02"]),
            "at": pd.to_datetime(["2024-01-12"] * 3),
            "anything": [1, "two", None],
        },
        index=[7, 7, 3],
    ).assign(anything=[{"a": 1}, None, {"a": 2}])
    answered = project.create_training_set(given_frame, [FeatureLookup("trend", "crowd")], timestamp="at")
    frame = answered.to_pandas()
    pd.testing.assert_frame_equal(frame[given_frame.columns.tolist()], given_frame)
    assert str(frame["crowd"].dtype) == "Int64"
    assert frame["crowd"].isna().tolist() == [False, True, False]
    assert str(answered.to_arrow().schema.field("crowd").type) == "int64"
    assert str(answered.to_polars()["crowd"].dtype) == "Int64"
    assert str(project.table("trend").between("2024-01-06", "2024-01-07").to_pandas()["crowd"].dtype) == "Int64"


def test_another_key_another_name_and_all_columns_of_a_table(project: Project) -> None:
    rows = labels(("s01", date(2024, 1, 12))).rename_columns(["crowd", "store", "at"])
    answered = project.create_training_set(
        rows,
        [
            FeatureLookup("trend", lookup_key="store", rename={"crowd": "visitors", "level": "crowd_level"}),
            FeatureLookup("shops", lookup_key=["store"]),
        ],
        timestamp="at",
    )
    assert answered.to_arrow().column_names == ["crowd", "store", "at", "crowd_level", "visitors", "region"]
    assert answered.to_arrow()["crowd"].to_pylist() == [0]
    assert answered.to_arrow()["region"].to_pylist() == ["south"]


def test_the_versions_read_the_same_again_after_corrections_and_new_periods(line: Line) -> None:
    project = Project(line.platform)
    rows = labels(*((shop, datetime(2024, 1, day, tzinfo=UTC)) for shop in ("s01", "s02") for day in range(5, 20)))
    lookups = [FeatureLookup("trend", lookback="20 days"), FeatureLookup("shops"), FeatureLookup("sales", "price")]

    def read(versions: ReadVersions | None = None, as_of: str | None = "now") -> Any:
        return project.create_training_set(rows, lookups, timestamp="at", as_of=as_of, versions=versions)

    now, then = read(), read(as_of=None)
    between = project.table("trend").between("2024-01-06", "2024-01-13", as_of="now")
    later = NOW + timedelta(days=5)
    correct(line, 70, later)
    line.live(2, "2024-01-14")
    line.platform.home.clock.set(later + timedelta(days=1))
    assert not read().to_arrow().equals(now.to_arrow())

    kept = ReadVersions.from_json(now.versions.to_json())  # asked for only now: what was read does not change
    assert kept == now.versions
    assert {table.name: table.delta_version for table in kept.tables} == {"trend": 10, "shops": 1, "sales": 10}
    assert kept.of("trend").periods == ("2024-01-05", "2024-01-13")
    again = read(kept)
    assert again.to_arrow().equals(now.to_arrow())
    assert again.versions == kept
    assert read(then.versions, None).to_arrow().equals(then.to_arrow())
    assert project.table("trend").between(
        "2024-01-06", "2024-01-13", as_of="now", versions=between.versions
    ).to_arrow().equals(between.to_arrow())  # fmt: skip


def test_the_versions_of_an_earlier_definition_are_read_in_its_generation(line: Line) -> None:
    rows = labels(*(("s01", datetime(2024, 1, day, tzinfo=UTC)) for day in range(8, 15)))
    lookups = [FeatureLookup("trend", lookup_key="shop", lookback="20 days")]
    before = Project(line.platform).create_training_set(rows, lookups, timestamp="at")
    range_before = Project(line.platform).table("trend").between("2024-01-06", "2024-01-09")
    kept = before.versions, range_before.versions
    line.files.change("trend/trend.sql", "ln(units + 1)", "ln(units + 2)")
    line.open()
    project = Project(line.platform)
    assert project.create_training_set(rows, lookups, timestamp="at").to_arrow()["level"].null_count == 7
    again = project.create_training_set(rows, lookups, timestamp="at", versions=kept[0])
    assert again.to_arrow().equals(before.to_arrow())
    assert again.versions == kept[0]
    range_again = project.table("trend").between("2024-01-06", "2024-01-09", versions=kept[1])
    assert range_again.to_arrow().equals(range_before.to_arrow())


def test_versions_of_another_table_generation_or_content_are_refused(line: Line) -> None:
    project = Project(line.platform)
    rows = labels(("s01", datetime(2024, 1, 12, tzinfo=UTC)))
    read = project.create_training_set(rows, [FeatureLookup("trend", "crowd")], timestamp="at").versions
    with pytest.raises(DefinitionError) as table:
        project.create_training_set(rows, [FeatureLookup("shops")], timestamp="at", versions=read)
    assert table.value.found == "table 'shops', which these versions do not hold"
    (trend,) = read.tables
    for changed, error in (
        (replace(trend, generation="other"), DefinitionError),
        (replace(trend, data_version="other"), ContractError),
        (replace(trend, delta_version=3), ContractError),
    ):
        with pytest.raises(error):
            project.create_training_set(
                rows, [FeatureLookup("trend", "crowd")], timestamp="at", versions=replace(read, tables=(changed,))
            )
    with pytest.raises(DefinitionError):
        ReadVersions.from_json("{}")


@pytest.mark.parametrize("name", ["trend", "sales"])
@pytest.mark.parametrize("as_of", [None, "now", "2024-01-12T12:00"])
def test_all_rows_between_two_times_are_those_of_the_oracle(project: Project, name: str, as_of: str | None) -> None:
    table, platform = project.table(name).states, project.platform
    states = table.states().to_pylist()
    start, end = datetime(2024, 1, 6, tzinfo=UTC), datetime(2024, 1, 13, tzinfo=UTC)
    expected: list[oracle.State] = []
    for period in table.schema.calendar.between(table.schema.calendar.of(start), table.schema.calendar.of(end)):
        moment = platform.known_from([name], period) if as_of is None else NOW
        if as_of and as_of != "now":
            moment = datetime.fromisoformat(as_of).replace(tzinfo=UTC)
        expected += oracle.known_at(states, moment, ["shop"], (max(start, period.start), min(end, period.end)))
    found = project.table(name).between(start, date(2024, 1, 13), as_of=as_of).to_arrow()
    order: Sequence[str] = ("shop", "event_time")
    pack.same_states(
        sorted(expected, key=lambda state: tuple(state[key] for key in order)),
        found,
        [*table.schema.names, "event_time", "known_at"],
    )
    assert found.num_rows > 40


def test_rows_of_a_period_are_as_known_when_it_was_complete_unless_now_is_asked_for(project: Project) -> None:
    trend = project.table("trend")
    for as_of, corrected in ((None, False), ("now", True), ("2024-01-15", False), ("2024-01-17", True)):
        rows = trend.between("2024-01-08", "2024-01-09", as_of=as_of).to_arrow().to_pylist()
        (level,) = [row["level"] for row in rows if row["shop"] == "s01"]
        assert (level == pytest.approx(2.0794415)) is corrected
    assert trend.between("2024-01-08", "2024-01-09", as_of="2024-01-09").to_arrow().num_rows == 0


def test_what_lies_in_the_future_is_what_is_known_now(line: Line) -> None:
    project = Project(line.platform)
    line.platform.home.clock.set(line.platform.labels_as_of(line.model, line.period("2024-01-10")) - hours(1))
    rows = labels(("s01", datetime(2024, 1, 30, tzinfo=UTC)))
    answers = [
        project.create_training_set(rows, [FeatureLookup("trend")], timestamp="at", as_of=as_of).to_arrow()
        for as_of in (None, "now", "2024-02-01")
    ]
    assert answers[0].equals(answers[1])
    assert answers[0].equals(answers[2])
    newest = project.table("trend").between("2024-01-01", "2024-02-01").to_arrow()["day"].to_pylist()
    assert max(newest) == date(2024, 1, 9)


def test_a_table_without_time_has_no_rows_between_two_times(project: Project) -> None:
    with pytest.raises(DefinitionError) as refused:
        project.table("shops").between("2024-01-01", "2024-02-01")
    assert refused.value.cure == "read it with as_known_at"


@pytest.mark.parametrize(
    ("lookup", "arguments", "found", "cure"),
    [
        (FeatureLookup("trends"), {}, "table 'trends'", "write 'trend'"),
        (FeatureLookup("trend", "levl"), {}, "column 'levl', which 'trend' does not have", "write 'level'"),
        (
            FeatureLookup("trend", "shop"),
            {},
            "column 'shop', which is a key or the timestamp of 'trend'",
            "correct the name, or add the column to the feature table",
        ),
        (
            FeatureLookup("trend", lookup_key="shops"),
            {},
            "rows without the column 'shops'",
            "write 'shop'",
        ),
        (
            FeatureLookup("trend", lookup_key=["shop", "at"]),
            {},
            "lookup_key shop, at for 'trend'",
            "name them in that order",
        ),
        (
            FeatureLookup("trend", "level", rename={"level": "number"}),
            {},
            "a feature 'number' of 'trend', named as a column of the rows",
            "give it another name with rename={'number': …}",
        ),
        (
            FeatureLookup("trend", "level", default={"level": "none"}),
            {},
            "the default 'none' of 'level'",
            "correct the default",
        ),
        (
            FeatureLookup("trend", lookup_key="number"),
            {},
            "key column 'number' of type int64",
            "cast the column",
        ),
        (FeatureLookup("trend"), {"timestamp": "att"}, "rows without the column 'att'", "write 'at'"),
        (
            FeatureLookup("trend"),
            {"timestamp": None},
            "rows without a time to look up at: neither timestamp=… nor a column 'anchor'",
            "pass timestamp= with one of: number, shop, at",
        ),
        (FeatureLookup("trend"), {"label": "numbers"}, "label 'numbers', which the rows do not have", "write 'number'"),
        (FeatureLookup("trend", lookback="always"), {}, "duration 'always'", "write, say, '2 months'"),
        (
            FeatureLookup("trend", ["level", "level"]),
            {},
            "a feature of 'trend' twice in one lookup",
            "take it out, or give it another name in a lookup of its own",
        ),
    ],
)
def test_mistakes_are_answered_with_what_is_near(
    project: Project, lookup: FeatureLookup, arguments: dict[str, Any], found: str, cure: str
) -> None:
    rows = labels(("s01", datetime(2024, 1, 12, tzinfo=UTC)))
    with pytest.raises(DefinitionError) as refused:
        project.create_training_set(rows, [lookup], **{"timestamp": "at", **arguments})
    assert (refused.value.found, refused.value.cure) == (found, cure)


@pytest.mark.parametrize("library", ["pandas", "polars", "arrow"])
def test_no_rows_find_no_features_of_the_right_types(project: Project, library: str) -> None:
    import pyarrow as pa

    none = frame_of(library, {"shop": pa.array([], pa.string()), "at": pa.array([], pa.timestamp("us"))})
    found = project.create_training_set(none, [FeatureLookup("trend"), FeatureLookup("shops")], timestamp="at")
    assert [str(type_) for type_ in found.to_arrow().schema.types[2:]] == ["double", "int64", "string"]
    assert found.to_arrow().num_rows == len(found.to_pandas()) == found.to_polars().height == 0


def test_a_key_in_the_index_of_pandas_is_said_to_be_no_column(project: Project) -> None:
    import pandas as pd  # noqa: TID253

    indexed = pd.DataFrame({"at": [NOW]}, index=pd.Index(["s01"], name="shop"))
    with pytest.raises(DefinitionError) as refused:
        project.create_training_set(indexed, [FeatureLookup("trend")], timestamp="at")
    assert "reset_index()" in refused.value.cure
    found = project.create_training_set(indexed.reset_index(), [FeatureLookup("shops")], timestamp="at").to_pandas()
    assert found["region"].tolist() == ["south"]


def test_an_end_before_the_start_is_refused(project: Project) -> None:
    with pytest.raises(DefinitionError) as refused:
        project.table("trend").between("2024-01-08", "2024-01-06")
    assert refused.value.cure == "swap them"
    assert project.table("trend").between("2024-01-08", "2024-01-08").to_arrow().num_rows == 0


def test_two_ways_to_say_as_of_are_one_too_many(project: Project) -> None:
    import pyarrow as pa

    rows = labels(("s01", datetime(2024, 1, 12, tzinfo=UTC)))
    rows = rows.append_column("as_of", pa.array([datetime(2024, 1, 12, tzinfo=UTC)]))
    with pytest.raises(DefinitionError) as refused:
        project.create_training_set(rows, [FeatureLookup("trend")], timestamp="at", as_of="now")
    assert refused.value.found == "a column 'as_of' and the argument as_of"
