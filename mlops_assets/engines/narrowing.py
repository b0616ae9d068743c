"""The part of a query that gives some of its columns: what its text would be if nobody had written the others.

Two texts of a table that differ in what nobody reads are so seen to say the same to who reads it. This text is
compared and hashed, and never run.
"""

from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from mlops_assets.engines.query import Query

if TYPE_CHECKING:
    from sqlglot import Token, exp


@dataclass(frozen=True)
class _Part:
    """What stands between two commas: a column of a SELECT, a definition of WINDOW, or one of WITH.

    Args:
        name: What others call it, in lower case.
        begin: The number of its first token.
        end: The number of the token behind its last one.
        shown: Whether it is a column of the answer.
        same: Whether it gives a column of what is read under its own name, so that the name means the same without it.
        needed: Whether leaving it out could change which rows there are.
    """

    name: str
    begin: int
    end: int
    shown: bool = False
    same: bool = False
    needed: bool = False


@dataclass(frozen=True)
class _List:
    """Parts with commas between them; ``word`` is the number of the token that goes when none is left, if one does."""

    parts: tuple[_Part, ...]
    word: int | None = None


def narrowed(query: Query, columns: frozenset[str]) -> str:
    """The canonical text of a query without the columns that nobody reads, and without what only they needed.

    Which rows there are, and the values of the columns that are left, do not depend on what is left out. Where the
    text alone cannot tell that, nothing is.

    Args:
        query: The query.
        columns: The names of those of its columns that are read, in lower case.

    Example:
        >>> from pathlib import Path
        >>> from mlops_assets.engines.query import parse_query
        >>> text = "SELECT shop, units, ln(price) AS level, price FROM sales WHERE units > 0"
        >>> narrowed(parse_query(text, file=Path("level.sql")), frozenset({"shop", "level"}))
        'SELECT "shop" , LN ( "price" ) AS "level" FROM "sales" WHERE "units" > 0'
    """
    return _narrowed(query.canonical, columns)


@lru_cache(maxsize=1024)
def _narrowed(canonical: str, columns: frozenset[str]) -> str:
    from sqlglot import Dialect, exp

    dialect = Dialect.get_or_raise("duckdb")
    tokens = dialect.tokenize(canonical)
    tree = dialect.parse(canonical)[0]
    if not isinstance(tree, exp.Select) or _takes_whatever_is_there(tree):
        return canonical
    lists = list(_lists(tokens, tree))
    words = [token.text.lower() for token in tokens]
    dropped: set[_Part] = set()
    while True:
        left_out = {number for part in dropped for number in range(part.begin, part.end)}
        counts = Counter(word for number, word in enumerate(words) if number not in left_out)
        more = {
            part
            for of in lists
            for part in of.parts
            if part not in dropped
            and part.begin not in left_out
            and not part.needed
            and not (part.shown and part.name in columns)
            and (part.same or counts[part.name] == words[part.begin : part.end].count(part.name))
        }
        for of in lists:
            if of.word is None and more.union(dropped).issuperset(of.parts):
                more -= {of.parts[0]}  # a SELECT gives something
        if not more:
            return _without(canonical, tokens, lists, dropped)
        dropped |= more


def _takes_whatever_is_there(tree: "exp.Select") -> bool:
    """Whether a query uses columns that it does not name, or by their place, or counts rows by all they hold."""
    from sqlglot import exp

    tables = tree.find_all(exp.Table, exp.CTE, exp.Subquery)
    names = {name.lower() for table in tables for name in (table.name, table.alias) if name}
    return (
        tree.is_star
        or any(alias.columns for alias in tree.find_all(exp.TableAlias))
        or tree.find(exp.SetOperation) is not None
        or any(select.args.get("distinct") for select in tree.find_all(exp.Select))
        or any(str(join.args.get("method") or "").upper() == "NATURAL" for join in tree.find_all(exp.Join))
        or any(_by_place(clause) for clause in (*tree.find_all(exp.Group), *tree.find_all(exp.Order)))
        or any(column.name.lower() in names for column in tree.find_all(exp.Column))
    )


def _by_place(clause: "exp.Expression") -> bool:
    from sqlglot import exp

    by = [one.this if isinstance(one, exp.Ordered) else one for one in clause.expressions]
    return bool(clause.args.get("all")) or any(isinstance(one, exp.Literal | exp.Var) for one in by)


def _lists(tokens: "Sequence[Token]", tree: "exp.Select") -> Iterator[_List]:
    """What may be left out: of WITH, of the SELECTs in it, and of the last one."""
    from sqlglot import TokenType, exp

    begin, introduced = 0, tree.args.get("with_")
    if introduced:
        parts, begin = [], 1
        for cte in introduced.expressions:
            first = begin
            while tokens[begin].token_type is not TokenType.L_PAREN:
                begin += 1
            end = _closing(tokens, begin)
            parts.append(_Part(cte.alias.lower(), first, end + 1))
            if isinstance(cte.this, exp.Select):
                yield from _of_select(tokens, begin + 1, end, cte.this, shown=False)
            begin = end + 2  # behind the comma
        yield _List(tuple(parts), word=0)
        begin -= 1
    yield from _of_select(tokens, begin, len(tokens), tree, shown=True)


def _of_select(
    tokens: "Sequence[Token]", begin: int, end: int, select: "exp.Select", *, shown: bool
) -> Iterator[_List]:
    from sqlglot import TokenType, exp

    if tokens[begin].token_type is not TokenType.SELECT:
        return  # FROM stands first, or WITH
    spans = list(_between_commas(tokens, begin + 1, end))
    if len(spans) == len(select.expressions):
        grouped = select.args.get("group") is not None
        yield _List(
            tuple(
                _Part(
                    column.alias_or_name.lower(),
                    *span,
                    shown,
                    same=shown and isinstance(column, exp.Column) and not column.table and not column.is_star,
                    needed=column.is_star or _decides_on_rows(column, grouped),
                )
                for span, column in zip(spans, select.expressions, strict=True)
            )
        )
    word = next((at for at in _outside(tokens, begin, end) if tokens[at].token_type is TokenType.WINDOW), None)
    if word is not None:
        windows = _between_commas(tokens, word + 1, end)
        yield _List(tuple(_Part(tokens[first].text.lower(), first, last) for first, last in windows), word)


def _decides_on_rows(column: "exp.Expr", grouped: bool) -> bool:
    """Whether there would be other rows without a column: it is the aggregate that makes one row of all, or unnests."""
    from sqlglot import exp

    if column.find(exp.Explode, exp.Unnest, exp.UDTF) or not column.alias_or_name:
        return True
    return not grouped and any(
        found.find_ancestor(exp.Window, exp.Subquery, exp.Select) is column.find_ancestor(exp.Select)
        for found in column.find_all(exp.AggFunc)
    )


def _outside(tokens: "Sequence[Token]", begin: int, end: int) -> Iterator[int]:
    """The numbers of the tokens that stand in no parentheses of their own."""
    depth = 0
    for number in range(begin, end):
        depth -= tokens[number].text in (")", "]", "}")
        if depth == 0:
            yield number
        depth += tokens[number].text in ("(", "[", "{")


def _closing(tokens: "Sequence[Token]", opening: int) -> int:
    return list(_outside(tokens, opening, len(tokens)))[1]


def _between_commas(tokens: "Sequence[Token]", begin: int, end: int) -> Iterator[tuple[int, int]]:
    """First token and the one behind the last of each part of a list, which ends where the next clause begins."""
    from sqlglot import TokenType

    clauses = {
        TokenType.FROM, TokenType.WHERE, TokenType.GROUP_BY, TokenType.HAVING, TokenType.WINDOW, TokenType.QUALIFY,
        TokenType.ORDER_BY, TokenType.LIMIT, TokenType.OFFSET,
    }  # fmt: skip
    for number in _outside(tokens, begin, end):
        kind = tokens[number].token_type
        if kind in clauses and tokens[number - 1].token_type is not TokenType.DISTINCT:  # IS DISTINCT FROM
            end = number
            break
        if kind is TokenType.COMMA:
            yield begin, number
            begin = number + 1
    yield begin, end


def _without(canonical: str, tokens: "Sequence[Token]", lists: Sequence[_List], dropped: Container[_Part]) -> str:
    """The text without some parts, and the commas that would stand before nothing."""
    left_out: set[int] = set()
    for of in lists:
        kept = False
        for part in of.parts:
            gone = part in dropped
            if gone:
                left_out.update(range(part.begin, part.end))
            if gone or not kept:
                left_out.add(part.begin - 1)  # the comma, or for the first part the word before all
            kept = kept or not gone
        if kept or of.word is None:
            left_out.discard(of.parts[0].begin - 1)
    written = ""
    for number, token in enumerate(tokens):
        if number not in left_out:
            apart = number and tokens[number - 1].end + 1 < token.start
            written += (" " if apart and written else "") + canonical[token.start : token.end + 1]
    return written
