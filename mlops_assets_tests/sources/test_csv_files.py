"""CSV is read strictly: no quotation mark too many, too few or escaped in another way loses a row without a word."""

import contextlib
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlops_assets.lakehouse.schema import Column
from mlops_assets.sources.csv_files import read_csv

COLUMNS = (
    Column("shop", "string", kind="key"),
    Column("day", "date", kind="time"),
    Column("units", "bigint"),
    Column("note", "string"),
)
HEADER = b"shop,day,units,note\n"


def rows_of(content: bytes, escape: str | None = None, columns: tuple[Column, ...] = COLUMNS) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_csv(content, columns, escape).to_pylist()
    return found


def notes(content: bytes, escape: str | None = None) -> list[Any]:
    return [row["note"] for row in rows_of(HEADER + content, escape)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'a,2024-01-05,1,"new stock\nb,2024-01-05,2,fine\nc,2024-01-05,3,fine\n', "row 1 below the header: it ends"),
        (b'a,2024-01-05,1,fine\nb,2024-01-05,2,"fine', "row 2 below the header: it ends inside a quoted value"),
        (b'a,2024-01-05,1,"new" stock\n', "row 1 below the header: a quoted value goes on behind"),
        (b'a,2024-01-05,1,"12\\" by 4\\" pipe"\nb,2024-01-05,2,fine\n', "declare files: {escape: backslash}"),
        (b'a,2024-01-05,1,"12\\""\nb,2024-01-05,2,"4\\""\n', "row 1 below the header: a quoted value goes on behind"),
        (b'a,2024-01-05,1,"new stock\nb,2024-01-05,2,fine"\n', "line 2 of it lies inside a quoted value and is itself"),
        (b'"a,2024-01-05,1,x\nb",2024-01-05,2,y\n', "line 2 of it lies inside a quoted value and is itself a row"),
        (b'a,"2024-01-05,1,x\nb,2024-01-05",2,y\n', "line 2 of it lies inside a quoted value and is itself a row"),
        (b'"x, y",2024-01-05,1,"new\nb,2024-01-05,2,fine\nc,2024-01-05,3,fine"\n', "line 2 of it lies inside"),
    ],
)
def test_a_quotation_mark_that_would_lose_a_row_is_refused_with_the_row(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match="row . below the header") as refused:
        rows_of(HEADER + content)
    assert words in str(refused.value)


def test_a_header_whose_quotation_marks_are_wrong_is_named() -> None:
    with pytest.raises(ValueError, match="the header: a quoted value goes on behind"):
        rows_of(b'"shop"s,day,units,note\na,2024-01-05,1,x\n')


@pytest.mark.parametrize(
    "note",
    [
        "Dear John\nbe quick, please\n\nYours",
        "a, b\r\nc",
        'say "yes"\n"no", or go',
        "b,2024-13-05,2,fine\nx",
        "\\",
        "\\N",
    ],
)
def test_a_text_of_several_lines_is_one_value(note: str) -> None:
    quoted = '"' + note.replace('"', '""') + '"'
    assert notes(f"a,2024-01-05,1,{quoted}\nb,2024-01-05,2,fine\n".encode()) == [note, "fine"]


def test_quotation_marks_inside_a_value_that_is_not_quoted_are_part_of_it() -> None:
    assert notes(b'a,2024-01-05,1,12" by 4"\nb,2024-01-05,2,fine\n') == ['12" by 4"', "fine"]


def test_a_line_without_a_value_between_others_is_a_row_and_at_the_end_none() -> None:
    assert notes(b"a,2024-01-05,1,x\n\nb,2024-01-05,2,y\n\r\n\n") == ["x", None, "y"]


@pytest.mark.parametrize("before", [b"", b'b,2024-01-05,2,"quoted"\n'])
def test_a_text_is_as_long_as_it_likes(before: bytes) -> None:
    long = b"x" * 2_500_000
    assert notes(before + b"a,2024-01-05,1," + long + b"\n")[-1] == long.decode()
    assert notes(before + b'a,2024-01-05,1,"' + long + b'"\n')[-1] == long.decode()


@given(
    st.lists(st.text(st.sampled_from('ab ,"\n'), max_size=5), min_size=1, max_size=5),
    st.integers(0, 200),
    st.booleans(),
)
@example(["", "", ""], 15, True)
@settings(max_examples=300)
def test_one_quotation_mark_too_many_or_too_few_never_loses_a_row(texts: list[str], place: int, more: bool) -> None:
    rows = [
        f'shop {number},2024-01-05,{number},"{text.replace(chr(34), 2 * chr(34))}"' for number, text in enumerate(texts)
    ]
    content = "\n".join(rows)
    if more:
        place %= len(content) + 1
        content = f'{content[:place]}"{content[place:]}'
    else:
        marks = [at for at, letter in enumerate(content) if letter == '"']
        place = marks[place % len(marks)]
        content = content[:place] + content[place + 1 :]
    with contextlib.suppress(ValueError):  # refused, in words
        assert len(rows_of(HEADER + content.encode() + b"\n")) >= len(texts)


# Escaped with a backslash, where that is declared


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r'"12\" by 4\" pipe"', '12" by 4" pipe'),
        (r'"12\""', '12"'),
        (r'"a\\"', "a\\"),
        (r'"a\\\",b"', 'a\\",b'),
        (r'"twice "" is one"', 'twice " is one'),
        (r'"C:\new"', r"C:\new"),
        (r"C:\new", r"C:\new"),
        (r"12\" pipe", '12" pipe'),
        (r"\N", None),
        (r'"\N"', r"\N"),
        ('"two\nlines\\""', 'two\nlines"'),
        ('""', None),
    ],
)
def test_a_declared_backslash_escapes_quotation_marks_and_itself(written: str, read: str | None) -> None:
    content = f"a,2024-01-05,1,{written}\nb,2024-01-05,2,fine\n".encode()
    assert notes(content, "backslash") == [read, "fine"]


@given(st.lists(st.text(st.sampled_from('ab ,"\n\\'), max_size=8).map(str.strip), min_size=1, max_size=4))
def test_what_is_written_with_backslashes_is_what_is_read(texts: list[str]) -> None:
    written = [text.replace("\\", "\\\\").replace('"', '\\"') for text in texts]
    content = "".join(f'a,,,"{text}"\n' for text in written)
    assert notes(content.encode(), "backslash") == [text or None for text in texts]


@pytest.mark.parametrize("content", [rb'a,2024-01-05,1,"12\"', rb'a,2024-01-05,1,"12\" pipe', b'a,2024-01-05,1,"12'])
def test_a_file_never_ends_inside_a_value_with_escapes(content: bytes) -> None:
    with pytest.raises(ValueError, match="row 1 below the header: it ends inside a quoted value"):
        notes(content + b"\n", "backslash")
