"""The quarantine: rows that were put aside, as they came and why, until they are ingested after all or superseded."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from mlops_assets.governance.access import Principal, visible
from mlops_assets.lakehouse.deliveries import Delivery
from mlops_assets.lakehouse.masking import MASK
from mlops_assets.lakehouse.records import read_records, schema_of
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.platform import Platform
from mlops_assets.project.definition import SourceDefinition
from mlops_assets.quality.contract import CheckOutcome
from mlops_assets.sources.row_faults import BadRows

QUARANTINE_EMPTY = "quarantine_empty"


@dataclass(frozen=True)
class QuarantinedRow:
    """A row that was put aside.

    Args:
        period: Key of the period whose delivery it came in.
        delivery: Number of that delivery.
        sha256: Hash of that delivery's bytes.
        row: The row's place in it, from 1.
        place: The same in words.
        original: The row as it came: an object of the columns' texts, as JSON.
        rules: The checks of the contract that it breaks, with commas between.
        reason: What is wrong with it, in words.
        arrived_at: The platform clock when its delivery arrived, UTC.
        outcome: ``waiting``; ``ingested`` after a replay; ``superseded`` where a later delivery holds its subject.
        settled_at: The platform clock when it ceased to wait, UTC; None while it waits.
    """

    period: str
    delivery: int
    sha256: str
    row: int
    place: str
    original: str
    rules: str
    reason: str
    arrived_at: datetime
    outcome: Literal["waiting", "ingested", "superseded"] = "waiting"
    settled_at: datetime | None = None

    @property
    def waits(self) -> bool:
        """Whether it may still be ingested."""
        return self.outcome == "waiting"


def quarantined(platform: Platform, source: SourceDefinition, period: str | None = None) -> list[QuarantinedRow]:
    """The rows of a source (or of one period's deliveries) that were ever put aside, in the order they came.

    Raises:
        DefinitionError: The source has no such period.
    """
    if period and not source.static:
        source.schema.calendar.at_key(period)
    found = read_records(platform.quarantine(source.name), QuarantinedRow, [period] if period else None)
    return sorted(found, key=lambda row: (row.period, row.delivery, row.row))


def shown_to(principal: Principal, schema: TableSchema, row: QuarantinedRow) -> QuarantinedRow:
    """A row as somebody may see it: without the values of the columns that they may not see.

    Reasons hold none, unless they were recorded before their column was personal: then only the rules are told.
    """
    hidden = [column.name for column in schema.columns if not visible(principal, column)]
    values = json.loads(row.original)
    original = {name: MASK if name in hidden and value is not None else value for name, value in values.items()}
    reason = row.reason if all(_is_harmless(row.reason, name) for name in hidden) else f"{row.rules}: {MASK}"
    return replace(row, original=json.dumps(original, ensure_ascii=False), reason=reason)


def _is_harmless(reason: str, column: str) -> bool:
    """Whether a reason names a column without a value of it."""
    name, mask = re.escape(column), re.escape(MASK)
    named = re.findall(rf"'{name}' is |(?<!\w){name}=", reason)
    rule = r"(?:null|(?:below|above|not in) [^:;]*)(?:;|$)"
    return len(named) == len(re.findall(rf"'{name}' is (?:{mask}, not |{rule})|(?<!\w){name}={mask}", reason))


def put_aside(platform: Platform, source: SourceDefinition, delivery: Delivery, bad: BadRows) -> None:
    """Record the bad rows of a delivery; what earlier deliveries of its period put aside is superseded by it.

    Additions supersede nothing: what an earlier one lacked is still owed. Doing it again changes nothing.
    """
    kept = quarantined(platform, source, delivery.period)
    settled = [
        replace(row, outcome="superseded", settled_at=delivery.arrived_at)
        if row.waits and source.delivers != "increment"
        else row
        for row in kept
        if row.delivery != delivery.number
    ]
    write_quarantine(platform, source, delivery.period, [*settled, *_rows(delivery, bad)])


def quarantine_outcome(platform: Platform, source: SourceDefinition) -> CheckOutcome:
    """What the check on the quarantine of a source finds; rows that wait for a fix are a warning."""
    waiting = sum(row.waits for row in quarantined(platform, source))
    return CheckOutcome(
        QUARANTINE_EMPTY,
        not waiting,
        f"{waiting} rows wait for a fix: mlops-assets quarantine list {source.name}" if waiting else "no row waits",
        waiting,
        expected="No row waits in quarantine.",
        blocks=False,
        figures={"rows waiting": waiting},
    )


def refreshed(row: QuarantinedRow, delivery: Delivery, bad: BadRows) -> QuarantinedRow:
    """A waiting row with what is wrong with it under today's contract."""
    return next(now for now in _rows(delivery, bad) if now.row == row.row)


def write_quarantine(platform: Platform, source: SourceDefinition, period: str, rows: list[QuarantinedRow]) -> None:
    """Replace what is recorded of a period, unless it is the same; a source without any gets no table."""
    import pyarrow as pa

    table = platform.quarantine(source.name)
    if not rows and table.data_version(period) is None:
        return
    ordered = sorted(rows, key=lambda row: (row.delivery, row.row))
    table.write(period, pa.Table.from_pylist([vars(row) for row in ordered], schema=schema_of(QuarantinedRow)))


def _rows(delivery: Delivery, bad: BadRows) -> Iterable[QuarantinedRow]:
    for row, faults in bad.faults.items():
        yield QuarantinedRow(
            period=delivery.period,
            delivery=delivery.number,
            sha256=delivery.sha256,
            row=row,
            place=bad.delivered.words(row),
            original=json.dumps(bad.delivered.original(row), ensure_ascii=False, default=str),
            rules=", ".join(dict.fromkeys(fault.check for fault in faults)),
            reason="; ".join(fault.reason for fault in faults),
            arrived_at=delivery.arrived_at,
        )
