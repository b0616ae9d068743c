"""Proving that what is computed needs nothing later than it is shown: rows after a period, or after a label's horizon.

What SQL asks for and cannot see gives no error: a feature that is null in every row, or a label that says of six
weeks what came true within four. So each computation is run over generated rows up to where the platform lets it see,
and over later ones too: of a label also where little or nothing happens before, so that the later is the first.
"""

import random
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.features.history import WHOLE, Subject, differing_columns, generated_platform
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.schema import TableSchema
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ProjectDefinition

if TYPE_CHECKING:
    import pyarrow as pa

BEYOND = {"month": 13, "week": 8, "day": 40}
"""How many periods at least are shown beyond what the platform shows."""
SHARES = (1.0, 0.2, 0.0)
"""How many of the rows are left between a label's period and the last one that it is shown."""


def require_no_look_ahead(project: ProjectDefinition, subject: Subject, folder: Path) -> None:
    """See that a subject computes the same when it sees what comes later.

    Of a feature table or population only what it has none of otherwise counts: rows, or a column's values.

    Args:
        project: The project.
        subject: What is computed.
        folder: Where generated rows may be put.

    Raises:
        DefinitionError: It computes something else; with the line of ``history``.
    """
    calendar = subject.schema.calendar
    beyond = max(subject.ahead, BEYOND[calendar.unit])
    for share in SHARES if subject.ahead else (1.0,):
        platform, period = _thinned(project, subject, beyond, share, folder)
        try:
            seen, later = (_rows(subject, platform, period, more) for more in (0, beyond))
        except ContractError:  # over generated rows it fails: so says the proof of its history
            return
        if subject.ahead:
            if columns := differing_columns(seen, later, subject.schema):
                raise _label_looks_further(subject, columns)
        elif columns := _only_later(seen, later, subject.schema):
            raise DefinitionError(
                f"{subject.name} has no {' and no '.join(columns)} unless it sees rows after its period",
                "what is computed from the rows up to the end of its period: it is never shown later ones",
                "take it out; what is said ahead, such as a forecast, is a source whose rows carry the time at which "
                "it was said",
                where=subject.history_location,
            )


def _label_looks_further(subject: Subject, columns: list[str]) -> DefinitionError:
    what = f"another {', '.join(columns)}" if columns[0] in subject.schema.value_names else "other rows"
    ahead = f"{subject.ahead} {subject.schema.calendar.unit}{'' if subject.ahead == 1 else 's'}"
    return DefinitionError(
        f"{subject.name} gives {what} when it sees more than {ahead} after its period (over generated rows)",
        f"a label of what comes true within {ahead}: its horizon and delay together",
        f"bound how far its SQL looks ahead to {ahead}, or lengthen the horizon",
        where=subject.history_location,
    )


def _rows(subject: Subject, platform: Platform, period: Period, more: int) -> "pa.Table":
    """Its rows for a period, with so many more periods after those that it is shown."""
    shown = replace(subject, ahead=subject.ahead + more)
    return shown.rows(platform, period, subject.history + more)


def _only_later(seen: "pa.Table", later: "pa.Table", schema: TableSchema) -> list[str]:
    """What there is nothing of without later rows: columns, or rows at all."""
    if not seen.num_rows:
        return ["rows"] if later.num_rows else []
    empty = [name for name in schema.value_names if seen.column(name).null_count == seen.num_rows]
    return [f"value of '{name}'" for name in empty if later.column(name).null_count < later.num_rows]


def _thinned(
    project: ProjectDefinition, subject: Subject, beyond: int, share: float, folder: Path
) -> tuple[Platform, Period]:
    """A platform with generated rows, of which a share is left in the periods shown after one, and that one."""
    import pyarrow as pa

    calendar, source = subject.schema.calendar, random.Random(1)

    def thin(rows: "pa.Table", schema: TableSchema, last: Period) -> "pa.Table":
        if schema.timestamp is None:
            return rows
        shown_until = calendar.shift(last, -beyond)
        about = calendar.shift(shown_until, -subject.ahead)
        times = rows.column(schema.timestamp).cast(pa.timestamp("us", "UTC")).to_pylist()
        after = (about.end <= time < shown_until.end for time in times)
        return rows.filter(pa.array([not shown or source.random() < share for shown in after]))

    most = subject.history + subject.ahead + beyond
    platform, period = generated_platform(project, subject, most, WHOLE, folder, thin)
    return platform, calendar.shift(period, -beyond)
