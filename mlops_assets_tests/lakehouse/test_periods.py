"""How time is cut: periods, durations, and moments that a user wrote."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.periods import (
    ONE_MICROSECOND,
    WEEKDAYS,
    Calendar,
    Duration,
    Period,
    add_months,
    parse_moment,
)

DAYS, MONTHS = Calendar("day"), Calendar("month")
CALENDARS = [DAYS, MONTHS, *(Calendar("week", day) for day in WEEKDAYS)]
calendars = st.sampled_from(CALENDARS)
EARLIEST, LATEST = datetime(1900, 1, 1), datetime(2200, 1, 1)  # noqa: DTZ001 (Hypothesis adds the zone)
moments = st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC))
shifts = st.integers(-500, 500)


def utc(*parts: int) -> datetime:
    year, month, day, *rest = parts
    hour, minute = (*rest, 0, 0)[:2]
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


def test_a_day_begins_at_midnight_utc() -> None:
    assert DAYS.of(utc(2024, 2, 29, 23, 59)) == Period(utc(2024, 2, 29), utc(2024, 3, 1), "2024-02-29")


def test_a_month_reaches_to_the_first_of_the_next() -> None:
    assert MONTHS.of(utc(2024, 2, 29)) == Period(utc(2024, 2, 1), utc(2024, 3, 1), "2024-02")
    assert MONTHS.of(utc(2023, 12, 31, 23, 59)) == Period(utc(2023, 12, 1), utc(2024, 1, 1), "2023-12")


@pytest.mark.parametrize("last_day", WEEKDAYS)
def test_a_week_ends_on_the_day_that_was_declared(last_day: str) -> None:
    period = Calendar("week", last_day).of(utc(2024, 5, 15))
    assert WEEKDAYS[period.anchor.weekday()] == last_day
    assert period.end - period.start == timedelta(days=7)
    assert period.key == period.start.date().isoformat()


def test_weeks_end_on_sunday_unless_declared_otherwise() -> None:
    assert Calendar("week").of(utc(2024, 5, 15)).key == "2024-05-13"
    assert Calendar("week", "friday").of(utc(2024, 5, 15)).key == "2024-05-11"


def test_a_saturday_begins_a_week_that_ends_on_friday() -> None:
    fridays = Calendar("week", "friday")
    assert fridays.of(utc(2024, 5, 17, 23, 59)).key == "2024-05-11"
    assert fridays.of(utc(2024, 5, 18)).key == "2024-05-18"


def test_the_anchor_is_the_last_instant_of_the_period() -> None:
    period = MONTHS.at_key("2024-01")
    assert period.anchor == datetime(2024, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert MONTHS.of(period.anchor) == period
    assert MONTHS.of(period.anchor + ONE_MICROSECOND).key == "2024-02"


@given(calendars, moments)
def test_every_moment_lies_in_exactly_one_period(calendar: Calendar, moment: datetime) -> None:
    period = calendar.of(moment)
    assert period.start <= moment < period.end
    before, after = calendar.shift(period, -1), calendar.shift(period, 1)
    assert before.end == period.start and after.start == period.end
    assert calendar.of(period.start) == calendar.of(period.anchor) == period


@given(calendars, moments)
def test_keys_lead_back_to_their_period(calendar: Calendar, moment: datetime) -> None:
    period = calendar.of(moment)
    assert calendar.at_key(period.key) == period


@given(calendars, moments, moments)
def test_keys_sort_as_their_periods_do(calendar: Calendar, one: datetime, other: datetime) -> None:
    a, b = calendar.of(one), calendar.of(other)
    assert (a.key < b.key) == (a.start < b.start)


@given(calendars, moments, shifts, shifts)
def test_shifts_add_up(calendar: Calendar, moment: datetime, one: int, other: int) -> None:
    period = calendar.of(moment)
    assert calendar.shift(calendar.shift(period, one), other) == calendar.shift(period, one + other)
    assert calendar.shift(period, 0) == period


@given(calendars, moments, shifts)
def test_the_distance_of_two_periods_is_the_shift_between_them(calendar: Calendar, moment: datetime, by: int) -> None:
    period = calendar.of(moment)
    assert calendar.distance(period, calendar.shift(period, by)) == by


@given(calendars, moments, st.integers(0, 40))
def test_the_periods_between_two_follow_one_another_without_a_gap(
    calendar: Calendar, moment: datetime, by: int
) -> None:
    first = calendar.of(moment)
    between = list(calendar.between(first, calendar.shift(first, by)))
    assert len(between) == by + 1
    assert between[0] == first and between[-1] == calendar.shift(first, by)
    assert all(one.end == other.start for one, other in zip(between, between[1:], strict=False))


def test_nothing_lies_between_a_period_and_an_earlier_one() -> None:
    assert list(MONTHS.between(MONTHS.at_key("2024-02"), MONTHS.at_key("2024-01"))) == []


@given(calendars, moments, st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kathmandu"]))
def test_the_zone_in_which_a_moment_is_told_does_not_matter(calendar: Calendar, moment: datetime, zone: str) -> None:
    assert calendar.of(moment.astimezone(ZoneInfo(zone))) == calendar.of(moment)


def test_days_are_24_hours_long_where_local_clocks_change() -> None:
    for key in ("2024-03-31", "2024-10-27", "2024-03-10", "2024-11-03"):
        period = DAYS.at_key(key)
        assert period.end - period.start == timedelta(hours=24)


def test_the_hour_that_a_local_clock_shows_twice_is_two_hours_in_utc() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    # On 2024-10-27 local clocks show 02:30 twice; in UTC that is 00:30 and 01:30.
    first = datetime(2024, 10, 27, 2, 30, tzinfo=berlin, fold=0)
    second = datetime(2024, 10, 27, 2, 30, tzinfo=berlin, fold=1)
    assert parse_moment(second.isoformat()) - parse_moment(first.isoformat()) == timedelta(hours=1)


@pytest.mark.usefixtures("machine_in_new_york")
def test_a_moment_without_zone_is_utc_whatever_the_zone_of_the_machine() -> None:
    assert datetime(2024, 1, 1).astimezone(UTC) == utc(2024, 1, 1, 5)  # noqa: DTZ001 (the machine's zone does matter)
    naive = datetime(2024, 1, 31, 22)  # noqa: DTZ001
    assert MONTHS.of(naive).key == "2024-01"
    assert parse_moment("2024-01-31T22:00:00") == utc(2024, 1, 31, 22)
    assert parse_moment("2024-01-31") == utc(2024, 1, 31)


@pytest.mark.parametrize("key", ["", "2024", "2024-13", "2024-00", "2024-01-01", "January", "202401", "2024-01 "])
def test_a_key_that_names_no_month_is_refused_with_an_example(key: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        MONTHS.at_key(key)
    assert refused.value.found == f"period '{key}'"
    assert refused.value.expected == "a month such as 2001-03"
    assert refused.value.cure == "correct the period"


@pytest.mark.parametrize("calendar", [DAYS, Calendar("week")])
@pytest.mark.parametrize("key", ["2024-01", "2024-02-30", "20240101", "yesterday", "2024-01-01T00:00"])
def test_a_key_that_names_no_day_is_refused_with_an_example(calendar: Calendar, key: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        calendar.at_key(key)
    assert refused.value.found == f"period '{key}'"
    assert refused.value.expected == "a day such as 2001-03-05"


def test_a_day_inside_a_week_is_refused_with_the_day_that_begins_it() -> None:
    with pytest.raises(DefinitionError) as refused:
        Calendar("week", "friday").at_key("2024-05-15")
    assert refused.value.found == "'2024-05-15', which does not begin a week"
    assert refused.value.expected == "the first day, 2024-05-11"
    assert refused.value.cure == "use that"


@pytest.mark.parametrize("key", ["2024-1", "2024-1-01"])
def test_a_key_written_in_another_way_is_not_taken_for_the_same_partition(key: str) -> None:
    calendar = MONTHS if key.count("-") == 1 else DAYS
    with pytest.raises(DefinitionError, match="2024-01"):
        calendar.at_key(key)


@pytest.mark.parametrize(("calendar", "key"), [(MONTHS, "9999-12"), (DAYS, "9999-12-31")])
def test_a_period_that_ends_after_all_time_is_refused(calendar: Calendar, key: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        calendar.at_key(key)
    assert refused.value.found == f"period '{key}'"


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("36 hours", Duration(rest=timedelta(hours=36))),
        ("1 day", Duration(rest=timedelta(days=1))),
        ("2 weeks", Duration(rest=timedelta(days=14))),
        ("1 month", Duration(months=1)),
        ("25 months", Duration(months=25)),
        ("2 years", Duration(months=24)),
        ("  3   days ", Duration(rest=timedelta(days=3))),
        ("0 days", Duration()),
    ],
)
def test_durations_are_read(text: str, duration: Duration) -> None:
    assert Duration.parse(text) == duration


@pytest.mark.parametrize(
    "text",
    ["", "2", "months", "-1 months", "1.5 days", "2 month s", "1 day 2 hours", "2 fortnights", "P1M", "1e3 days"],
)
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        Duration.parse(text)
    assert refused.value.found == f"duration '{text}'"
    assert refused.value.expected == "a number with hours, days, weeks, months or years"
    assert refused.value.cure == "write, say, '2 months'"


@given(
    st.one_of(
        [
            st.integers(0, most).map(f"{{}} {unit}".format)
            for unit, most in (("hours", 5_000), ("days", 5_000), ("weeks", 5_000), ("months", 1_200), ("years", 100))
        ]
    )
)
def test_a_duration_is_shown_as_it_can_be_written(text: str) -> None:
    duration = Duration.parse(text)
    assert Duration.parse(str(duration)) == duration


@pytest.mark.parametrize(
    "text", ["101 years", "3000 years", "1201 months", "40000 days", "10000000 days", "9999999 hours"]
)
def test_a_duration_is_one_that_the_calendar_holds(text: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        Duration.parse(text)
    assert (refused.value.found, refused.value.expected) == (f"duration '{text}'", "at most 100 years")


@pytest.mark.parametrize(
    ("text", "calendar", "periods"),
    [("2 years", MONTHS, 24), ("2 weeks", DAYS, 14), ("48 hours", DAYS, 2), ("21 days", Calendar("week"), 3)],
)
def test_a_duration_counts_whole_periods(text: str, calendar: Calendar, periods: int) -> None:
    assert Duration.parse(text).periods(calendar) == periods


@pytest.mark.parametrize(
    ("text", "calendar"),
    [("30 days", MONTHS), ("1 month", DAYS), ("1 month", Calendar("week")), ("10 days", Calendar("week"))],
)
def test_a_duration_that_is_not_whole_periods_is_refused(text: str, calendar: Calendar) -> None:
    with pytest.raises(DefinitionError) as refused:
        Duration.parse(text).periods(calendar)
    assert refused.value.expected == f"a whole number of {calendar.unit}s"
    assert refused.value.cure == f"give it in {calendar.unit}s"


def test_two_months_before_the_end_of_february_is_the_end_of_december() -> None:
    february = MONTHS.at_key("2023-02").anchor
    assert Duration.parse("2 months").before(february) == MONTHS.at_key("2022-12").anchor


@given(moments, st.integers(0, 60))
def test_a_lookback_in_months_covers_whole_months(moment: datetime, months: int) -> None:
    period = MONTHS.of(moment)
    assert Duration(months=months).before(period.anchor) == MONTHS.shift(period, -months).anchor


@given(moments, st.integers(-600, 600))
def test_adding_months_keeps_the_day_or_takes_the_last_of_the_month(moment: datetime, months: int) -> None:
    moved = add_months(moment, months)
    assert (moved.year * 12 + moved.month) - (moment.year * 12 + moment.month) == months
    assert moved.timetz() == moment.timetz()
    assert moved.day == moment.day or (moved + timedelta(days=1)).day == 1 and moved.day < moment.day


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2001-03", utc(2001, 3, 1)),
        ("2001-03-05", utc(2001, 3, 5)),
        (" 2001-03-05 ", utc(2001, 3, 5)),
        ("2001-03-05T12:30", utc(2001, 3, 5, 12, 30)),
        ("2001-03-05 12:30:00", utc(2001, 3, 5, 12, 30)),
        ("2001-03-05T12:30:00Z", utc(2001, 3, 5, 12, 30)),
        ("2001-03-05T12:30:00+02:00", utc(2001, 3, 5, 10, 30)),
        ("2001-03-01T00:30:00+02:00", utc(2001, 2, 28, 22, 30)),
    ],
)
def test_moments_are_read_and_without_zone_they_are_utc(text: str, moment: datetime) -> None:
    read = parse_moment(text)
    assert read == moment
    assert read.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "03/05/2001",  # March or May?
        "05.03.2001",
        "01-02-03",
        "5 March 2001",
        "2001",
        "2001-3-5",
        "2001-02-29",
        "2001-13",
        "12:30",
        "2001-03-05T12:30:00 CET",  # names of zones are ambiguous
        "2024-10-27T02:30:00 Europe/Berlin",  # twice that night
        "2001-03-05T25:00",
        "now",
        "0001-01-01T00:00:00+14:00",  # before all time
    ],
)
def test_a_time_that_is_ambiguous_or_none_is_refused_with_the_forms_there_are(text: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        parse_moment(text)
    assert refused.value.found == f"time '{text}'"
    assert refused.value.expected == "2001-03, 2001-03-05 or 2001-03-05T12:00:00+00:00"
    assert refused.value.cure == "correct the time"


@given(moments, st.integers(-14 * 60, 14 * 60))
def test_a_moment_written_with_its_offset_reads_back_the_same(moment: datetime, minutes: int) -> None:
    zone = timezone(timedelta(minutes=minutes))
    assert parse_moment(moment.astimezone(zone).isoformat()) == moment
