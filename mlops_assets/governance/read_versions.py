"""What a reading read, so that it can be read again: of each table its generation, Delta version and content."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial

from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.governance.evidence import InputEvidence, window_evidence
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import StateTable


@dataclass(frozen=True)
class TableVersion(InputEvidence):
    """What was read of one table; ``delta_version`` is None where it was never written.

    Args:
        generation: The table's definition, by its hash.
    """

    generation: str


@dataclass(frozen=True)
class ReadVersions:
    """What a reading read: enough to read the same rows again, whatever was corrected since.

    Args:
        tables: Each table that was read, once.
        read_at: The platform clock's moment of reading, UTC; what became known later was not seen.
    """

    tables: tuple[TableVersion, ...]
    read_at: datetime

    def to_json(self) -> str:
        """As text, to keep beside a model or a file."""
        return json.dumps({"read_at": self.read_at.isoformat(), "tables": [asdict(table) for table in self.tables]})

    @classmethod
    def from_json(cls, text: str) -> "ReadVersions":
        """From the text that `to_json` gave.

        Raises:
            DefinitionError: The text is another.
        """
        try:
            values = json.loads(text)
            tables = tuple(
                TableVersion(**{**table, "periods": tuple(table["periods"]) if table["periods"] else None})
                for table in values["tables"]
            )
            return cls(tables, datetime.fromisoformat(values["read_at"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DefinitionError(
                f"versions that cannot be read ({error})", "what versions.to_json() gave", "pass that text unchanged"
            ) from None

    def of(self, name: str) -> TableVersion:
        """What was read of a table.

        Raises:
            DefinitionError: It was not read.
        """
        for table in self.tables:
            if table.name == name:
                return table
        listed = ", ".join(table.name for table in self.tables)
        raise DefinitionError(
            f"table '{name}', which these versions do not hold", f"among: {listed}", "look up what was looked up then"
        )


@dataclass(frozen=True)
class Read:
    """A table as one reading reads it.

    Args:
        table: The table.
        generation: Its definition, by its hash.
        version: The Delta version that is read; None where it was never written.
        periods: Those in which what was asked for can lie; none of a static table.
    """

    table: StateTable
    generation: str
    version: int | None
    periods: Sequence[Period]

    @property
    def pinned(self) -> int:
        """The Delta version as an engine takes it: version 0, which creates a table, holds no rows."""
        return self.version or 0

    def evidence(self) -> TableVersion:
        """What was read, with the hash of its content."""
        hashes = partial(StateTable.data_versions, version=self.pinned)
        found = replace(window_evidence(self.table, self.periods, hashes), delta_version=self.version)
        return TableVersion(**asdict(found), generation=self.generation)


def read_again(table: StateTable, generation: str, versions: ReadVersions) -> Read:
    """A table as an earlier reading read it.

    Raises:
        DefinitionError: It was not read then, or has another definition now.
        ContractError: That Delta version no longer holds what was read.
    """
    recorded = versions.of(table.name)
    if recorded.generation != generation:
        raise DefinitionError(
            f"table '{table.name}' of generation {generation}, which was read in generation {recorded.generation}",
            "the definition that was read",
            "open the project as it was then",
        )
    calendar = table.schema.calendar
    first, last = (calendar.at_key(key) for key in recorded.periods) if recorded.periods else (None, None)
    periods = list(calendar.between(first, last)) if first and last else []
    read = Read(table, generation, recorded.delta_version, periods)
    if read.evidence() != recorded:
        raise ContractError(
            f"Delta version {read.version} of '{table.name}' no longer holds what was read of it",
            f"content {recorded.data_version}",
            "restore the table from a backup",
        )
    return read
