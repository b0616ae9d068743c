"""Numbers, times and marked words as people read them."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlops_assets.serving.pages.words import length, marked_name, marked_parts, moment, number, share, value


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        (0, "0"), (1234567, "1,234,567"), (-12.0, "-12"), (0.123456, "0.1235"), (1234.567, "1,235"), (99.99999, "100"),
        (0.00001234, "1.234e-05"), (1e20, "1.000e+20"), (float("nan"), "nan"), (float("-inf"), "-inf"), (-0.5, "-0.5"),
    ],
)  # fmt: skip
def test_a_number_has_four_significant_digits_and_a_whole_one_all(given_: float, words: str) -> None:
    assert number(given_) == words


@given(st.floats(min_value=1e-3, max_value=1e12))
def test_a_number_as_shown_is_the_number_to_a_thousandth(given_: float) -> None:
    assert float(number(given_).replace(",", "")) == pytest.approx(given_, rel=1e-3)


@given(st.floats(min_value=0, max_value=1))
def test_a_share_that_is_neither_nothing_nor_all_does_not_look_so(given_: float) -> None:
    assert (share(given_) == "0 %") == (given_ == 0)
    assert (share(given_) == "100 %") == (given_ == 1)


def test_lengths_of_time_are_told_in_their_max_unit() -> None:
    told = [length(timedelta(seconds=seconds)) for seconds in (5, 60, 7300, 86_400, 31 * 86_400)]
    assert told == ["less than a minute", "1 minute", "2 hours", "1 day", "31 days"]


def test_moments_are_told_in_utc() -> None:
    assert moment(datetime(2024, 1, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))) == "2023-12-31 23:30 UTC"


def test_values_of_rows_are_told_by_their_type() -> None:
    day = datetime(2024, 1, 1, tzinfo=UTC)
    assert [value(item) for item in (None, True, 2, 0.25, "a", day.date(), day)] == [
        "null", "true", "2", "0.25", "a", "2024-01-01", "2024-01-01 00:00 UTC"
    ]  # fmt: skip


@given(st.text(alphabet="ab <>&\x02\x03"))
def test_no_text_is_lost_or_gained_where_words_are_marked(snippet: str) -> None:
    parts = "".join(part for part, _ in marked_parts(snippet))
    assert parts == snippet.replace("\x02", "").replace("\x03", "")


def test_matched_words_and_the_beginnings_of_names_are_marked() -> None:
    assert list(marked_parts("Log \x02growth\x03 of units")) == [
        ("Log ", False), ("growth", True), (" of units", False)
    ]  # fmt: skip
    assert marked_name("class_growth_1m", "Grow clas.s") == "\x02clas\x03s_\x02grow\x03th_1m"
    assert marked_name("growth", "row (") == "growth"
    assert marked_name("unit_price", "Units") == "\x02unit\x03_price", "as the search finds a singular by its plural"
