"""The publisher: it writes what is due, once, and always the same bytes."""

import gzip
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlops_assets.errors import ContractError, DefinitionError, PlatformError
from mlops_assets.lakehouse.home import Home
from mlops_assets.platform import Platform
from mlops_assets.sources.landing import landing_folder
from mlops_assets.sources.publisher import publish_due, split_by_period
from mlops_assets_tests.sources.small_project import STATIC, Shop, csv_of, platform_of, sales_yaml

ROWS = [
    "north,2024-01-01,1",
    "south,2024-03-31,9",
    '"west, old",2024-01-31,3',
    "north,2024-02-01,4",
    "south,2024-01-01,",
]
JANUARY = 'shop,day,units\nnorth,2024-01-01,1\n"west, old",2024-01-31,3\nsouth,2024-01-01,\n'
PUBLISHED = "published_from: all.csv"
LAG = "publication_lag: 36 hours"
JANUARY_DUE = datetime(2024, 2, 2, 12, tzinfo=UTC)


def publishing(home: Home, *documents: str, data: bytes | None = None) -> Platform:
    """A platform whose source publishes from ``all.csv``."""
    folder = home.folder.parent / "project"
    folder.mkdir(exist_ok=True)
    (folder / "all.csv").write_bytes(csv_of(ROWS).encode() if data is None else data)
    return platform_of(home, *(documents or (sales_yaml(PUBLISHED, LAG),)))


def landed(platform: Platform, name: str = "sales") -> dict[str, bytes]:
    folder = landing_folder(platform, platform.project.sources[name])
    return {file.name: file.read_bytes() for file in folder.glob("*")}


def test_nothing_is_written_before_it_is_due(home: Home) -> None:
    platform = publishing(home)
    home.clock.set(JANUARY_DUE - timedelta(microseconds=1))
    assert publish_due(platform) == []
    assert landed(platform) == {}


def test_a_file_is_written_once_its_period_has_ended_and_the_lag_is_over(home: Home) -> None:
    platform = publishing(home)
    home.clock.set(JANUARY_DUE)
    assert publish_due(platform) == [home.landing / "sales" / "2024-01.csv"]
    assert landed(platform) == {"2024-01.csv": JANUARY.encode()}


def test_what_became_due_since_is_written_in_order_and_periods_without_rows_are_not(home: Home) -> None:
    platform = publishing(home)
    home.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    assert [file.name for file in publish_due(platform)] == ["2024-01.csv", "2024-02.csv", "2024-03.csv"]


def test_publishing_again_writes_nothing(home: Home) -> None:
    platform = publishing(home)
    home.clock.set(JANUARY_DUE)
    (file,) = publish_due(platform)
    before = file.stat()
    assert publish_due(platform) == []
    assert file.stat() == before


def test_a_file_that_somebody_corrected_is_not_written_over(home: Home) -> None:
    platform = publishing(home)
    home.clock.set(JANUARY_DUE)
    (file,) = publish_due(platform)
    file.write_bytes(b"corrected")
    assert publish_due(platform) == []
    assert file.read_bytes() == b"corrected"


def test_what_is_due_does_not_depend_on_when_it_was_looked_for(home: Home, tmp_path: Path) -> None:
    platform, other = publishing(home), publishing(Home(tmp_path / "other" / "home").prepare())
    for month in range(1, 7):
        home.clock.set(datetime(2024, month, 20, tzinfo=UTC))
        publish_due(platform)
    other.home.clock.set(datetime(2024, 6, 20, tzinfo=UTC))
    publish_due(other)
    assert landed(platform) == landed(other)


def test_a_compressed_file_is_published_as_the_same_bytes(home: Home, tmp_path: Path) -> None:
    platform = publishing(home)
    other = Home(tmp_path / "other" / "home").prepare()
    (tmp_path / "other" / "project").mkdir()
    (tmp_path / "other" / "project" / "all.csv.gz").write_bytes(gzip.compress(csv_of(ROWS).encode()))
    packed = platform_of(other, sales_yaml("published_from: all.csv.gz", LAG))
    for one in (platform, packed):
        one.home.clock.set(JANUARY_DUE)
        publish_due(one)
    assert landed(platform) == landed(packed)


def test_the_splitting_of_a_file_forgets_a_file_that_was_replaced(home: Home) -> None:
    platform = publishing(home)
    source = platform.project.sources["sales"]
    assert set(split_by_period(source)) == {"2024-01", "2024-02", "2024-03"}
    assert source.published_from is not None
    source.published_from.write_text(csv_of(["north,2024-05-01,1", *ROWS]), encoding="utf-8")
    assert set(split_by_period(source)) == {"2024-01", "2024-02", "2024-03", "2024-05"}


@pytest.mark.parametrize(
    ("period", "first", "keys"),
    [
        ("day", "2024-01-01", ["2024-01-01", "2024-01-31", "2024-02-01", "2024-03-31"]),
        ("week", "2024-01-01", ["2024-01-01", "2024-01-29", "2024-03-25"]),
        ("month", "2024-01", ["2024-01", "2024-02", "2024-03"]),
    ],
)
def test_rows_go_to_the_day_the_week_or_the_month_they_lie_in(
    home: Home, period: str, first: str, keys: list[str]
) -> None:
    platform = publishing(home, sales_yaml(PUBLISHED, period=period, first=first))
    assert list(split_by_period(platform.project.sources["sales"])) == keys


@given(
    st.lists(
        st.tuples(st.text("ab,\"\n é'", max_size=4), st.dates(date(2024, 1, 1), date(2024, 5, 1))),
        max_size=12,
    )
)
@settings(max_examples=30)
def test_no_row_is_lost_or_changed_by_splitting(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, object]]
) -> None:
    import csv
    import io

    home = Home(tmp_path_factory.mktemp("split") / "home")
    home.folder.mkdir()
    text = io.StringIO()
    csv.writer(text).writerows([("shop", "day", "units"), *((shop, day, 1) for shop, day in rows)])
    platform = publishing(home, data=text.getvalue().encode())
    parts = split_by_period(platform.project.sources["sales"])
    read = [list(csv.reader(io.StringIO(part.decode(), newline=""))) for part in parts.values()]
    assert sorted(row for part in read for row in part[1:]) == sorted([shop, str(day), "1"] for shop, day in rows)
    assert all(part[0] == ["shop", "day", "units"] and len(part) > 1 for part in read)
    assert all({row[1][:7] for row in part[1:]} == {key} for key, part in zip(parts, read, strict=True))


def test_a_static_file_is_due_at_once_and_comes_as_it_is(home: Home) -> None:
    data = b"shop,region\r\nnorth,uplands\r\n"
    platform = publishing(
        home, STATIC.replace("  static: true", "  static: true\n  published_from: all.csv"), data=data
    )
    assert publish_due(platform) == [home.landing / "shops" / "static.csv"]
    assert landed(platform, "shops") == {"static.csv": data}
    assert publish_due(platform) == []


def test_sources_are_published_in_the_order_of_their_names(home: Home) -> None:
    visits = sales_yaml(PUBLISHED).replace("name: sales", "name: about_visits")
    platform = publishing(home, sales_yaml(PUBLISHED), visits)
    home.clock.set(datetime(2024, 2, 20, tzinfo=UTC))
    assert [file.parent.name for file in publish_due(platform)] == ["about_visits", "sales"]


def test_a_source_that_is_delivered_by_others_is_left_alone(home: Home) -> None:
    platform = publishing(home, sales_yaml(LAG))
    home.clock.set(datetime(2030, 1, 1, tzinfo=UTC))
    assert publish_due(platform) == []
    with pytest.raises(DefinitionError) as refused:
        split_by_period(platform.project.sources["sales"])
    assert refused.value.found == "source 'sales' without published_from"


def test_a_file_without_the_timestamp_is_refused(home: Home) -> None:
    for data in (b"", b"shop,date,units\nnorth,2024-01-01,1\n"):
        platform = publishing(home, data=data)
        with pytest.raises(ContractError) as refused:
            publish_due(platform)
        assert refused.value.found == f"no column 'day' in {home.folder.parent / 'project' / 'all.csv'}"
        assert refused.value.expected == "a CSV with a header"
        assert refused.value.cure == "correct the file"


def test_a_row_without_a_time_or_of_another_length_is_refused_and_nothing_is_written(home: Home) -> None:
    home.clock.set(JANUARY_DUE)
    for row, found in (
        ("north,soon,1", "time 'soon'"),
        ("north", f"a row of 1 values at line 7 of {home.folder.parent / 'project' / 'all.csv'}"),
        (
            'north,2024-01-01,"1',
            f"{home.folder.parent / 'project' / 'all.csv'}, in which row 6 below the header: it ends inside a quoted "
            "value: a quotation mark opens a value and none closes it",
        ),
        ("north,2024-01-01,1,2", f"a row of 4 values at line 7 of {home.folder.parent / 'project' / 'all.csv'}"),
    ):
        platform = publishing(home, data=csv_of([*ROWS, row]).encode())
        with pytest.raises(PlatformError) as refused:
            publish_due(platform)
        assert refused.value.found == found
        assert landed(platform) == {}


def test_a_file_in_another_encoding_is_refused(home: Home) -> None:
    platform = publishing(home, data=csv_of(ROWS).replace("north", "Größe").encode("latin-1"))
    with pytest.raises(ContractError) as refused:
        publish_due(platform)
    assert refused.value.found.startswith(f"{home.folder.parent / 'project' / 'all.csv'}, which is not UTF-8 (")


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + csv_of(ROWS).encode(),
        csv_of([*ROWS, "", ""]).encode(),
        csv_of(ROWS).replace("\n", "\r\n").encode(),
    ],
    ids=["byte order mark", "empty lines", "Windows lines"],
)
def test_what_programs_do_to_a_csv_file_changes_no_published_byte(home: Home, data: bytes) -> None:
    platform = publishing(home, data=data)
    home.clock.set(JANUARY_DUE)
    publish_due(platform)
    assert landed(platform) == {"2024-01.csv": JANUARY.encode()}


def test_what_is_published_is_ingested(home: Home) -> None:
    platform = publishing(home)
    home.clock.set(datetime(2024, 5, 1, tzinfo=UTC))
    publish_due(platform)
    shop = Shop(platform)
    assert shop.ingest("2024-01").delivery.accepted
    assert shop.known(datetime(2024, 5, 1, tzinfo=UTC)) == {
        "north 2024-01-01": 1,
        "west, old 2024-01-31": 3,
        "south 2024-01-01": None,
    }
