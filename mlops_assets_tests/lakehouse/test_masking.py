"""What messages say of values of personal columns: nothing, and of what went wrong as much as holds none."""

import pytest

from mlops_assets.lakehouse.masking import LEFT_OUT, MASK, told, words_about
from mlops_assets.lakehouse.schema import Column

NAME, SITE = Column("name", "string", sensitivity="personal"), Column("site", "string")


def test_a_value_is_told_unless_it_is_personal() -> None:
    assert (told(SITE, "north"), told(NAME, "Ana"), told(NAME, None)) == ("north", MASK, MASK)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("Conversion Error: Could not convert string 'Ana' to INT32", "Conversion Error"),
        ("Invalid Input Error: Ana", "Invalid Input Error"),
        ("CSV parse error: Row #2: Expected 1 columns, got 2: Ana,1", "CSV parse error"),
        ("KeyError: 'Ana'", "KeyError"),
        ("pandas.errors.OutOfBoundsError: Ana", "pandas.errors.OutOfBoundsError"),
        ("[CAST_INVALID_INPUT] The value 'Ana' of the type", "[CAST_INVALID_INPUT]"),
        ("'Ana' is no number", "an error"),
        ("Ana: an error", "an error"),
    ],
)
def test_of_what_went_wrong_with_personal_values_only_its_kind_is_said(words: str, said: str) -> None:
    assert words_about([SITE, NAME], words) == f"{said} ({LEFT_OUT})"
    assert words_about([SITE], words) == words


@pytest.mark.parametrize(
    "words", ["Binder Error: Referenced column nam", "Parser Error: syntax", "[UNRESOLVED_COLUMN.WITH_SUGGESTION] nam"]
)
def test_what_is_said_before_any_row_is_read_is_said(words: str) -> None:
    assert words_about([NAME], words) == words
