"""Names of files with the period in them: read back as they were written, or refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import Calendar
from mlops_assets.project.file_patterns import FilePattern

MONTHS, DAYS, WEEKS = Calendar("month"), Calendar("day"), Calendar("week", "friday")
KEYS = {MONTHS: "2024-03", DAYS: "2024-03-05", WEEKS: "2024-03-02"}


@pytest.mark.parametrize(
    ("text", "calendar", "path"),
    [
        ("{period}.csv", MONTHS, "2024-03.csv"),
        ("sales_{period}.parquet", WEEKS, "sales_2024-03-02.parquet"),
        ("{period:%Y}/{period:%Y%m}.csv", MONTHS, "2024/202403.csv"),
        ("{period:%Y/%j}.jsonl.gz", DAYS, "2024/065.jsonl.gz"),
        ("w[1] (a+b) {period:%d.%m.%y}.csv", WEEKS, "w[1] (a+b) 02.03.24.csv"),
    ],
)
def test_a_path_is_of_the_period_it_is_made_of(tmp_path: Path, text: str, calendar: Calendar, path: str) -> None:
    pattern, period = FilePattern(text, calendar), calendar.at_key(KEYS[calendar])
    pattern.require_periods(period, None)
    assert pattern.path(period) == path
    assert pattern.period_of(path) == period.key
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).touch()
    for glob in (pattern.glob(period), pattern.glob()):
        assert [found.relative_to(tmp_path).as_posix() for found in tmp_path.glob(glob)] == [path]


@given(st.sampled_from([MONTHS, DAYS, WEEKS]), st.integers(0, 20_000), st.sampled_from(["%Y%m%d", "%j-%Y", "%y-%m-%d"]))
def test_every_period_is_read_back(calendar: Calendar, number: int, form: str) -> None:
    period = calendar.shift(calendar.at_key(KEYS[calendar]), -number % (50 if calendar.unit == "month" else 500))
    pattern = FilePattern(f"part_{{period:{form}}}/*.csv", calendar)
    assert pattern.period_of(pattern.path(period).replace("*", "7")) == period.key


@pytest.mark.parametrize(
    "path",
    [
        "notes.csv",
        "2024-13.csv", "2024-03.csv.part", ".2024-03.csv", "2024-3.csv", "in/2024-03.csv", "2024-03-01.csv",
    ],
)  # fmt: skip
def test_other_files_are_of_no_period(path: str) -> None:
    assert FilePattern("{period}.csv", MONTHS).period_of(path) is None


def test_a_path_that_contradicts_itself_is_of_no_period() -> None:
    pattern = FilePattern("{period:%Y}/{period:%Y-%m}.csv", MONTHS)
    assert pattern.period_of("2024/2024-03.csv") == "2024-03"
    assert pattern.period_of("2023/2024-03.csv") is None
    assert FilePattern("{period:%Y%m%d}.csv", MONTHS).period_of("20240302.csv") is None
    assert FilePattern("{period}.csv", WEEKS).period_of("2024-03-03.csv") is None


@pytest.mark.parametrize("path", ["2024-03/.part-1.csv", "2024-03/.csv", "2024-03/in/1.csv", "2024-03/1.csv.tmp"])
def test_a_wildcard_matches_no_hidden_or_half_written_file(path: str) -> None:
    pattern = FilePattern("{period}/*.csv", MONTHS)
    assert pattern.several
    assert pattern.period_of("2024-03/part-1.csv") == "2024-03"
    assert pattern.period_of(path) is None


@pytest.mark.parametrize("text", ["{period}.csv", "static.csv"])
def test_a_static_table_has_one_path(text: str) -> None:
    pattern = FilePattern(text, None)
    pattern.require_periods(None, None)
    assert (pattern.path(None), pattern.glob(), pattern.period_of("static.csv")) == (
        "static.csv",
        "static.csv",
        "static",
    )


TOLD = "in which '{path}' does not tell the period {key}"


@pytest.mark.parametrize(
    ("text", "calendar", "found"),
    [
        ("{period:%Y}.csv", MONTHS, TOLD.format(path="2024.csv", key="2024-03")),
        ("{period:%Y%m}.csv", DAYS, TOLD.format(path="202403.csv", key="2024-03-05")),
        ("sales.csv", MONTHS, TOLD.format(path="sales.csv", key="2024-03")),
        ("{period:%m}.csv", MONTHS, TOLD.format(path="03.csv", key="2024-03")),
        ("{period:%B %Y}.csv", MONTHS, "'{period:%B %Y}' in the pattern"),
        ("{month}.csv", MONTHS, "'{month}' in the pattern"),
        ("{periods}.csv", MONTHS, "'{periods}' in the pattern"),
        ("{period:}.csv", MONTHS, "'{period:}' in the pattern"),
        ("{period.csv", MONTHS, "'{' in the pattern"),
        ("/data/{period}.csv", MONTHS, "the pattern '/data/{period}.csv'"),
        ("../{period}.csv", MONTHS, "the pattern '../{period}.csv'"),
        ("{period:%Y}.csv", None, "'{period:%Y}' in the pattern"),
    ],
)
def test_a_pattern_that_does_not_tell_its_period_is_refused(text: str, calendar: Calendar | None, found: str) -> None:
    first = calendar.at_key(KEYS[calendar]) if calendar else None
    with pytest.raises(DefinitionError) as refused:
        FilePattern(text, calendar).require_periods(first, None)
    assert found in refused.value.found


def test_a_pattern_that_tells_the_first_periods_but_not_the_last_is_refused() -> None:
    pattern = FilePattern("{period:%y%m}.csv", MONTHS)
    pattern.require_periods(MONTHS.at_key("1999-01"), MONTHS.at_key("2030-12"))
    with pytest.raises(DefinitionError):
        pattern.require_periods(MONTHS.at_key("1999-01"), MONTHS.at_key("2099-01"))
