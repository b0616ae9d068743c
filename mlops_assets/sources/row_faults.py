"""Which rows of a delivery break their contract, and why: what may be put aside, so that the others can be taken."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlops_assets.engines.contract import Engine
from mlops_assets.engines.figures import values_where
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.quality.contract import CONTRACT_CHECKS, CheckOutcome, key_in_words, row_rules
from mlops_assets.sources.delivered import Delivered

if TYPE_CHECKING:
    import pyarrow as pa

PLACE = "seq"
"""The column with a row's place in its delivery; no user's column may have this name."""


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with a row.

    Args:
        check: The one of `CONTRACT_CHECKS` that it breaks.
        reason: What is wrong, in words.
    """

    check: str
    reason: str


@dataclass(frozen=True)
class BadRows:
    """The rows of a delivery that break their contract.

    Args:
        delivered: The delivery.
        faults: What is wrong, by the row's place (from 1); in the order of places.
    """

    delivered: Delivered
    faults: Mapping[int, Sequence[Fault]]

    @property
    def good(self) -> "pa.Table":
        """The other rows, in their order."""
        if not self.faults:
            return self.delivered.rows
        places = range(1, self.delivered.rows.num_rows + 1)
        return self.delivered.at(place for place in places if place not in self.faults)

    def outcomes(self) -> list[CheckOutcome]:
        """What each check of the contract found, for a delivery that is refused for its bad rows."""
        found = []
        for check in CONTRACT_CHECKS:
            reasons = [fault.reason for row in self.faults.values() for fault in row if fault.check == check]
            words = f"{len(reasons)} rows where {reasons[0]}" if reasons else "as declared"
            found.append(CheckOutcome(check, not reasons, words, len(reasons)))
        return found

    def identities(self, schema: TableSchema) -> Iterable[tuple[Any, ...]]:
        """The key and time of each bad row; None where it could not be read, so that it may be any."""
        bad = self.delivered.at(self.faults).select(schema.identity)
        return (tuple(row.values()) for row in bad.to_pylist())


def find_bad_rows(engine: Engine, delivered: Delivered, schema: TableSchema) -> BadRows:
    """Find the rows that break their contract, each with all that is wrong with it.

    A value that is not of its column's type, a null or a value where none such is allowed are faults of a row by
    itself. Rows that have the same key and time are all at fault: nobody knows which of them is right.
    """
    import pyarrow as pa

    faults: dict[int, list[Fault]] = {}
    for wrong in delivered.wrong:
        reason = f"'{wrong.column}' is {wrong.found}, not {wrong.expected}"
        faults.setdefault(wrong.row, []).append(Fault("columns_and_types", reason))
    unreadable = {(wrong.row, wrong.column) for wrong in delivered.wrong}
    places = pa.array(range(1, delivered.rows.num_rows + 1), pa.int64())
    rows = delivered.rows.append_column(PLACE, places)
    rules = row_rules(schema)
    figures = {str(number): values_where(PLACE, rule.broken) for number, rule in enumerate(rules)}
    measured = engine.measure(engine.rows(rows), figures) if figures else {}
    for number, rule in enumerate(rules):
        for row in sorted(measured[str(number)] or ()):
            if (row, rule.column) not in unreadable:
                value = "" if rule.example is None else f": {delivered.rows.column(rule.column)[row - 1].as_py()}"
                faults.setdefault(row, []).append(Fault(rule.check, f"'{rule.column}' is {rule.fault}{value}"))
    for key, repeated in _repeated(rows, schema):
        for row in repeated:
            faults.setdefault(row, []).append(Fault("keys_unique", f"{len(repeated)} rows have the key {key}"))
    return BadRows(delivered, dict(sorted(faults.items())))


def may_be_among(rows: Iterable[tuple[Any, ...]], identities: Iterable[tuple[Any, ...]]) -> list[bool]:
    """Whether each key and time may be one of some, in which None stands for any value.

    Example:
        >>> may_be_among([("a", 1), ("a", 2), ("b", 3)], [("a", 1), (None, 3)])
        [True, False, True]
    """
    known: dict[tuple[int, ...], set[tuple[Any, ...]]] = {}
    for parts in identities:
        places = tuple(place for place, part in enumerate(parts) if part is not None)
        known.setdefault(places, set()).add(tuple(parts[place] for place in places))
    return [any(tuple(row[place] for place in places) in values for places, values in known.items()) for row in rows]


def _repeated(rows: "pa.Table", schema: TableSchema) -> Iterable[tuple[str, list[int]]]:
    """The keys that more than one row has, in words, and the places of these rows; nulls are no key."""
    names = schema.identity
    grouped = rows.select([*names, PLACE]).drop_null().group_by(names).aggregate([(PLACE, "list")])
    for group in grouped.to_pylist():
        places = group.pop(f"{PLACE}_list")
        if len(places) > 1:
            yield key_in_words(schema, group), places
