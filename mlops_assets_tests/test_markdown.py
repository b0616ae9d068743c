"""Markdown from data: whatever a text holds, a table keeps its shape, and nothing of the text is markup."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from mlops_assets.markdown import as_code, as_table, as_text

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
MARKUP = st.text(st.sampled_from("|`[]()<>!*_~#&;\\-:+=.@/ \n\r\t\u2028\x0bahtpw1"), max_size=30)
TEXTS = st.one_of(MARKUP, st.text(max_size=20))
EVIL = (
    "![x](https://evil.example/?q=)", "[x](javascript:alert(1))", "<img src=x onerror=alert(1)>", "a|b", "a\\|b", "`|`",
    "a\n\n# b", "<https://evil.example>", "https://evil.example", "www.evil.example", "ana@evil.example", "&lt;b&gt;",
    "*a* _b_ ~~c~~", "[x]: https://evil.example", "1. a", "- a", "---", "\\", "```",
)  # fmt: skip


def inline(tokens: list[Token]) -> list[Token]:
    return [child for token in tokens if token.type == "inline" for child in token.children or ()]


def cells(markdown: str) -> list[list[str]]:
    """The texts of a table as a reader shows them, row by row; the document must be one table of plain texts."""
    rows: list[list[str]] = []
    for token in READER.parse(markdown):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            assert {child.type for child in token.children or ()} <= {"text", "text_special"}
            rows[-1].append("".join(child.content for child in token.children or ()))
        else:
            assert token.type.partition("_")[0] in ("table", "thead", "tbody", "tr", "th", "td"), token.type
    return rows


def plain(text: str) -> str:
    """One line, without what cannot be seen, and a sign for what cannot be shown."""
    line = " ".join(text.split()).replace("\u200b", "")
    return "".join("\ufffd" if unicodedata.category(letter) == "Cc" else letter for letter in line)


@given(st.lists(TEXTS, min_size=1, max_size=4), TEXTS)
@example(list(EVIL), "x")
def test_a_table_keeps_its_shape_and_shows_every_text_as_it_is(texts: list[str], head: str) -> None:
    found = cells(as_table([head, "n"], [[text, str(number)] for number, text in enumerate(texts)]))
    assert [row[1:] for row in found] == [["n"], *([str(number)] for number in range(len(texts)))]
    shown = [row[0].replace("\u200b", "") for row in found]
    assert shown == [plain(text) for text in (head, *texts)]


@given(TEXTS)
@pytest.mark.parametrize("evil", EVIL)
def test_a_text_in_a_sentence_is_no_link_image_or_html(evil: str, text: str) -> None:
    for one in (evil, text):
        tokens = READER.parse(f"Found: {as_text(one)}.")
        assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
        assert {child.type for child in inline(tokens)} <= {"text", "text_special"}


@given(TEXTS)
def test_what_readers_turn_into_links_by_themselves_is_parted(text: str) -> None:
    shown = "".join(child.content for child in inline(READER.parse(f"x {as_text(text)}")))
    assert re.search(r"https?://|www\.|\w@\w", shown, re.IGNORECASE) is None


@given(TEXTS)
@example("```\n# not code")
@example("~~~\n````")
def test_a_block_of_code_holds_all_of_its_text(text: str) -> None:
    tokens = READER.parse(as_code(text, "sql"))
    assert [(token.type, token.info) for token in tokens] == [("fence", "sql")]
