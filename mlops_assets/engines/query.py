"""SQL that a user wrote: read, checked against an allow-list, and given a canonical form.

Two checks guard each other. Words are checked among the tokens, because sqlglot drops surplus arguments
while it parses (``chr(x, now())`` loses its second); nodes are checked in the tree, because words alone do
not tell what is read. Engines run ``Query.canonical`` and not ``Query.text``: what runs is then what was
checked, and no comment or layout that two parsers may read differently is left in it.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.engines.allow_list import (
    BARE_WORDS,
    CLOCK_TEXTS,
    CLOCK_WORDS,
    EFFECT_WORDS,
    ENGINE_TABLES,
    FILE_WORDS,
    FUNCTIONS,
    NODES,
    ORDERED_AGGREGATES,
    PARTS_OF_NAMES,
    RANDOM_WORDS,
    SURROUNDINGS_WORDS,
    SYNTAX,
    TABLE_FUNCTIONS,
    WINDOW_FUNCTIONS,
)
from mlops_assets.engines.sql_tree import counts_rows, cte_of, line_of, ordered_by, window_of
from mlops_assets.errors import DefinitionError, Location

if TYPE_CHECKING:
    from sqlglot import Token, TokenType, exp


_CLOCK_CURE = "take the time from a timestamp column of the input, which the platform shows as of each period"
# For each node that somebody may well write: what it is, what was expected, what to do.
_REFUSED_NODES: dict[str, tuple[str, str, str]] = {
    "TableSample": ("a sample, which is random", "all rows", "choose rows by a condition on a column"),
    "HistoricalData": ("AT (…), which reads another version", "the rows as known", "leave it out"),
    "Pivot": ("PIVOT or UNPIVOT", "columns that are written out", "write sum(x) FILTER (WHERE …) AS … for each column"),
    "Columns": ("COLUMNS(…)", "columns that are written out", "write each column out"),
    "PositionalColumn": ("a column by its position", "a column by its name", "write the column's name"),
    "Placeholder": ("a parameter", "a query that is complete", "write the value itself"),
    "Parameter": ("a parameter", "a query that is complete", "write the value itself"),
    "Into": ("SELECT INTO", "a query without side effects", "leave INTO out: the platform keeps the rows"),
}
_PLAIN_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True)
class Query:
    """One SELECT that passed the checks.

    Attributes:
        text: The query as the user wrote it.
        canonical: The query that engines run; layout, comments and the case of keywords change nothing in it.
        definition_hash: SHA-256 of ``canonical``, in hex.
        tables: Names in lower case of the tables it reads; names that WITH introduces are not among them.
        output_columns: Names of what it returns, as written; None where only the schema can tell (``*``, an
            expression without an alias).
        file: Where it stands, for messages.
    """

    text: str
    canonical: str
    definition_hash: str
    tables: frozenset[str]
    output_columns: tuple[str, ...] | None
    file: Path


def parse_query(text: str, *, file: Path) -> Query:
    """Read one SELECT of DuckDB's dialect and refuse what is not on the allow-list.

    Args:
        text: The SQL.
        file: Where it stands, for the message of an error.

    Raises:
        DefinitionError: The text is not exactly one SELECT, or asks for the clock, randomness, a file, the
            environment, a side effect, an order that nobody gave, or anything else that is not on the list.
    """
    tokens, tree = _read(text, file)
    reader = _Reader(file, tokens, tree)
    reader.check_forms()
    reader.check_words()
    reader.check_tree()
    canonical = reader.canonical()
    return Query(
        text=text,
        canonical=canonical,
        definition_hash=hashlib.sha256(canonical.encode()).hexdigest(),
        tables=frozenset(table.name.lower() for table in _tables(tree)),
        output_columns=_output_columns(tree),
        file=file,
    )


def parsed_tree(query: Query) -> "exp.Expr":
    """The tree of a query, as sqlglot reads it; the caller's own to change."""
    return _read(query.text, query.file)[1]


def called_and_named(canonical: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words before a parenthesis in a canonical text, and all its words, in lower case; texts hold no words."""
    from sqlglot import Dialect, TokenType

    tokens, texts = Dialect.get_or_raise("duckdb").tokenize(canonical), _string_types()
    named = frozenset(token.text.lower() for token in tokens if token.token_type not in texts)
    before = zip(tokens, tokens[1:], strict=False)
    called = frozenset(token.text.lower() for token, next_ in before if next_.token_type is TokenType.L_PAREN)
    return called & named, named


def _read(text: str, file: Path) -> "tuple[list[Token], exp.Expr]":
    from sqlglot import Dialect, ErrorLevel, TokenType, exp
    from sqlglot.errors import ParseError, TokenError

    dialect = Dialect.get_or_raise("duckdb")
    try:
        tokens = dialect.tokenize(text)
        _check_characters(tokens, file)
        while tokens and tokens[-1].token_type is TokenType.SEMICOLON:
            tokens.pop()
        _check_statement(tokens, file)
        tree = dialect.parser(error_level=ErrorLevel.IMMEDIATE).parse(tokens, text)[0]
    except ParseError as error:
        line = error.errors[0]["line"] if error.errors else None
        reason = error.errors[0]["description"] if error.errors else str(error)
        near = error.errors[0]["highlight"] if error.errors else ""
        raise DefinitionError(
            f"SQL that does not parse near {near!r} ({reason.rstrip('.')})",
            "one SELECT of DuckDB's dialect",
            "correct it there or just before",
            where=Location(file, line),
        ) from error
    except TokenError as error:
        raise DefinitionError(
            "a quotation mark or comment that is opened and never closed",
            "one SELECT of DuckDB's dialect",
            "close it",
            where=Location(file),
        ) from error
    except RecursionError as error:
        raise DefinitionError(
            "SQL that is nested too deeply to be read", "fewer levels", "split it by WITH", where=Location(file)
        ) from error
    if not isinstance(tree, exp.Select | exp.SetOperation | exp.Subquery):
        raise _not_a_select(tokens[0], file)
    return tokens, tree


def _check_characters(tokens: "list[Token]", file: Path) -> None:
    """Refuse what DuckDB may read in another way: it drops some invisible characters, and a word is then another."""
    from sqlglot import TokenType

    quoted = {TokenType.IDENTIFIER, *_string_types()}
    for token in tokens:
        if token.token_type in quoted:
            continue
        for character in token.text:
            of_a_name = token.token_type is TokenType.VAR and unicodedata.category(character) in PARTS_OF_NAMES
            if not (" " <= character <= "~" or character in "\t\n\r" or not character.isascii() and of_a_name):
                name = unicodedata.name(character, "a character without a name")
                raise DefinitionError(
                    f"the character U+{ord(character):04X} ({name}) outside of quotation marks",
                    "keywords and signs in ASCII, and names of letters, digits and _",
                    "delete it, or write the name that it belongs to between double quotation marks",
                    where=Location(file, token.line),
                )


def _check_statement(tokens: "list[Token]", file: Path) -> None:
    from sqlglot import TokenType

    if not tokens:
        raise DefinitionError("an empty text", "one SELECT", "write the query", where=Location(file))
    if tokens[0].text.upper() not in {"SELECT", "WITH", "FROM", "("}:
        raise _not_a_select(tokens[0], file)
    for token, following in pairwise(tokens):
        if token.token_type is TokenType.SEMICOLON:
            raise DefinitionError(
                "more than one statement",
                "one SELECT",
                "keep one statement in the file",
                where=Location(file, following.line),
            )
        together = (token.token_type, following.token_type)
        if together == (TokenType.STRING, TokenType.STRING):
            raise DefinitionError(
                "two texts side by side, which one line break would join",
                "one text",
                "join them with ||",
                where=Location(file, following.line),
            )
        if together == (TokenType.NUMBER, TokenType.VAR) and token.end + 1 == following.start:
            raise DefinitionError(
                f"the number {token.text}{following.text}",
                "a decimal number",
                "write it in decimal digits, with a space behind",
                where=Location(file, token.line),
            )


def _not_a_select(token: "Token", file: Path) -> DefinitionError:
    return DefinitionError(
        f"a statement that is not a SELECT: it starts with {token.text.upper()}",
        "one SELECT (WITH … SELECT and UNION are fine)",
        "write what the table holds as a SELECT; the platform stores it",
        where=Location(file, token.line),
    )


@dataclass(frozen=True)
class _Reader:
    """One parsed query and the checks on it."""

    file: Path
    tokens: "list[Token]"
    tree: "exp.Expr"

    def check_forms(self) -> None:
        """Refuse, with an advice of its own, each form that somebody may well write."""
        for node in self.tree.walk():
            if type(node).__name__ in _REFUSED_NODES:
                self.refuse(node, *_REFUSED_NODES[type(node).__name__])

    def check_words(self) -> None:
        """Refuse each called name that is not on the list, and each bare word that reads the environment."""
        from sqlglot import TokenType, exp

        aliases = {
            node.this.meta.get("start")
            for node in self.tree.find_all(exp.TableAlias)
            if isinstance(node.this, exp.Identifier)
        }
        previous, texts, names = None, _string_types(), self.names
        for token, following in pairwise([*self.tokens, None]):
            assert token is not None  # only the last of all is None
            word, quoted = token.text.lower(), token.token_type is TokenType.IDENTIFIER
            is_word = quoted or token.token_type is TokenType.VAR
            is_word |= token.token_type not in texts and _PLAIN_NAME.match(token.text) is not None
            if is_word and following is not None and following.token_type is TokenType.L_PAREN:
                is_syntax = not quoted and word.split()[-1].upper() in SYNTAX
                if word not in FUNCTIONS and not is_syntax and token.start not in aliases:
                    self.refuse_word(token.text, token.line)
            elif is_word and word in BARE_WORDS and previous not in _before_names(word):
                self.refuse_word(token.text, token.line)
            if is_word and not quoted and token.start not in names and not token.text.isascii():
                raise DefinitionError(
                    f"{token.text}, a word that is no name",
                    "keywords, types and functions in ASCII",
                    "correct it, or write it between double quotation marks if it is a name",
                    where=Location(self.file, token.line),
                )
            previous = token.token_type

    def check_tree(self) -> None:
        """Refuse each node that is not on the list, each source that is no table, each order left open."""
        from sqlglot import exp

        for node in self.tree.walk():
            name = type(node).__name__
            if name not in NODES and not (isinstance(node, exp.Func) and "start" in node.meta):
                if name.startswith(("Current", "Local")):
                    self.refuse_word(name, line_of(node))
                self.refuse(node, f"{name} in the SQL", "plain SELECT syntax", "write it another way")
            if isinstance(node, exp.Table):
                self.check_table(node)
            elif isinstance(node, exp.With) and node.args.get("recursive"):
                self.refuse(node, "WITH RECURSIVE", "a query that surely ends", "use unnest(generate_series(…))")
            elif isinstance(node, exp.Join) and node.method.upper() == "POSITIONAL":
                self.refuse(node, "POSITIONAL JOIN", "a join on columns", "name the columns with ON or USING")
            elif isinstance(node, exp.Cast) and node.this.is_string and CLOCK_TEXTS.fullmatch(node.this.name):
                self.refuse(node, f"{node.this.name!r}, which asks for the clock", "a fixed date", _CLOCK_CURE)
            for found, cure in self.orders_left_open(node):
                self.refuse(node, found, "rows in a known order", cure)

    def check_table(self, table: "exp.Table") -> None:
        """Refuse what is read from, unless it is a plain name or a function of its arguments."""
        from sqlglot import exp

        if not isinstance(table.this, exp.Identifier):
            called = self.texts.get(table.this.meta.get("start", -1), table.this.name)
            if called.lower() not in TABLE_FUNCTIONS:
                self.refuse_word(called, line_of(table))
        elif table.args.get("db") or table.args.get("catalog"):
            self.refuse(
                table,
                f"{table.sql('duckdb')} in a schema or catalog",
                "the plain name of a table",
                "leave the schema out",
            )
        elif not _PLAIN_NAME.fullmatch(table.name):
            self.refuse(
                table, f"{table.name!r}, which reads a file", "the name of a table", "declare the file as a source"
            )
        elif ENGINE_TABLES.fullmatch(table.name.lower()):
            self.refuse(table, f"{table.name}, a table of the engine's own", "a table of the platform", "leave it out")

    def orders_left_open(self, node: "exp.Expr") -> Iterator[tuple[str, str]]:
        """What takes one row of many, and no ORDER BY says which; with what to do."""
        from sqlglot import exp

        if isinstance(node, exp.Query) and not ordered_by(node):
            if any(node.args.get(part) for part in ("limit", "offset", "fetch")):
                yield "LIMIT without ORDER BY", "add ORDER BY, down to a unique key; a constant orders nothing"
            if getattr(node.args.get("distinct"), "args", {}).get("on"):
                yield "DISTINCT ON without ORDER BY", "add ORDER BY"
        if isinstance(node, exp.Window) and counts_rows(node) and not ordered_by(node):
            yield "a frame of rows in a window without ORDER BY", "add ORDER BY to OVER"
        name = self.called(node)
        if name not in ORDERED_AGGREGATES | WINDOW_FUNCTIONS:
            return
        if window := window_of(node):
            if not ordered_by(window):
                cure = "add ORDER BY to OVER, by a column: a constant orders nothing"
                yield f"{name}() in a window without ORDER BY", cure
        elif not ordered_by(node.parent if isinstance(node.parent, exp.WithinGroup) else node):
            cure = f"write {name}(… ORDER BY …), or use min or max"
            yield f"{name}() without ORDER BY, which takes rows in any order", cure

    def called(self, node: "exp.Expr") -> str | None:
        """The name by which a function was called, in lower case."""
        from sqlglot import exp

        if not isinstance(node, exp.Func):
            return None
        return self.texts[node.meta["start"]].lower() if "start" in node.meta else node.sql_name().lower()

    @cached_property
    def texts(self) -> dict[int, str]:
        """What stands at each place where a token begins."""
        return {token.start: token.text for token in self.tokens}

    @cached_property
    def names(self) -> frozenset[int | None]:
        """Where each name stands in the text."""
        from sqlglot import exp

        return frozenset(node.meta.get("start") for node in self.tree.find_all(exp.Identifier))

    def canonical(self) -> str:
        """The tokens, one space between them: names quoted as written, all other words in capitals."""
        from sqlglot import TokenType

        names = self.names
        parts: list[str] = []
        for before, token in pairwise([None, *self.tokens]):
            assert token is not None  # only the first of all is None
            if token.token_type is TokenType.STRING:
                written = "'" + token.text.replace("'", "''") + "'"
            elif token.token_type is TokenType.IDENTIFIER or (
                token.token_type is TokenType.VAR and token.start in names
            ):
                written = '"' + token.text.replace('"', '""') + '"'
            elif token.start in names:
                written = token.text
            else:
                written = " ".join(token.text.upper().split())
            if before is not None and _belongs_to(before, token):
                parts[-1] += written
            else:
                parts.append(written)
        return " ".join(parts)

    def refuse(self, node: "exp.Expr", found: str, expected: str, cure: str) -> None:
        """Raise, with the line of the node."""
        raise DefinitionError(found, expected, cure, where=Location(self.file, line_of(node)))

    def refuse_word(self, word: str, line: int | None) -> None:
        """Raise, saying what kind of thing the word asks for."""
        lower = word.lower()
        if lower in CLOCK_WORDS or lower.startswith(("current", "local")) and lower not in SURROUNDINGS_WORDS:
            kind = ("the clock", "a query that gives the same answer whenever it runs", _CLOCK_CURE)
        elif lower in RANDOM_WORDS:
            kind = (
                "randomness",
                "a query that gives the same answer each time",
                "use md5(key) to spread or choose rows",
            )
        elif FILE_WORDS.fullmatch(lower):
            kind = ("a file or the environment", "tables of the platform only", "declare the file as a source")
        elif lower in EFFECT_WORDS:
            kind = (
                "a side effect or hidden SQL",
                "a query that only reads the tables it names",
                "write the SQL itself",
            )
        elif lower == "rowid":
            cure = "use columns of the table; a column of that name needs another one"
            kind = ("the place at which a row happened to be kept", "rows told apart by what they hold", cure)
        elif lower in SURROUNDINGS_WORDS:
            cure = "leave it out, or write table.column if it is a column"
            kind = ("its environment", "a query that depends on its tables only", cure)
        else:
            near = get_close_matches(lower, FUNCTIONS, n=3)
            hint = f"use one of: {', '.join(near)}" if near else "use another function, or ask for it to be added"
            raise DefinitionError(
                f"the function {word}(), which is not on the list",
                "a function that is known to depend on its arguments only",
                hint,
                where=Location(self.file, line),
            )
        raise DefinitionError(f"{word}, which asks for {kind[0]}", kind[1], kind[2], where=Location(self.file, line))


def _belongs_to(before: "Token", token: "Token") -> bool:
    """Whether DuckDB has one token where sqlglot has two: numbers that begin with a point, and some signs."""
    from sqlglot import TokenType

    if before.token_type is TokenType.DOT:
        return token.token_type is TokenType.NUMBER
    if before.token_type not in {TokenType.LT, TokenType.GT, TokenType.NOT} or before.end + 1 != token.start:
        return False
    return before.text + token.text in {"<<", ">>", "!~", "!~~", "!~~*"}


def _before_names(word: str) -> "frozenset[TokenType]":
    """Behind what a word is a name; a table has rowid, though nobody declares it."""
    from sqlglot import TokenType

    return frozenset({TokenType.ALIAS}) if word == "rowid" else frozenset({TokenType.ALIAS, TokenType.DOT})


@lru_cache(maxsize=1)
def _string_types() -> "frozenset[TokenType]":
    from sqlglot import TokenType

    return frozenset(kind for kind in TokenType if kind.name.endswith("STRING"))


def _tables(tree: "exp.Expr") -> "Iterator[exp.Table]":
    """Tables that are read."""
    from sqlglot import exp

    for table in tree.find_all(exp.Table):
        if isinstance(table.this, exp.Identifier) and cte_of(table) is None:
            yield table


def _output_columns(tree: "exp.Expr") -> tuple[str, ...] | None:
    from sqlglot import exp

    if isinstance(tree, exp.Subquery):
        return _output_columns(tree.this)
    if isinstance(tree, exp.SetOperation):
        left, right = _output_columns(tree.this), _output_columns(tree.expression)
        if not tree.args.get("by_name") or left is None or right is None:
            return None if tree.args.get("by_name") else left
        return left + tuple(name for name in right if name.lower() not in {known.lower() for known in left})
    names = []
    for column in tree.expressions:
        # unnest of a struct gives a column for each of its fields, whatever its alias
        spreads = column.is_star or isinstance(column.unalias(), exp.Explode | exp.Unnest)
        if spreads or not isinstance(column, exp.Alias | exp.Column | exp.Dot):
            return None
        names.append(column.alias_or_name)
    return tuple(names)
