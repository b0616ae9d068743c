"""What a reading read, so that it can be read again: of each table its generation, Delta version and content."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial

from mlops_assets.errors import ContractError, DefinitionError
from mlops_assets.features.generations import generation_as_stored, generations
from mlops_assets.governance.evidence import InputEvidence, window_evidence
from mlops_assets.lakehouse.periods import Period
from mlops_assets.lakehouse.tables import StateTable
from mlops_assets.platform import Platform


@dataclass(frozen=True)
class ReadVersions:
    """What a reading read: enough to read the same rows again, whatever was corrected or redefined since.

    Args:
        tables: Each table that was read, once; a Delta version of None is a table that was never written.
        read_at: The platform clock's moment of reading, UTC; what became known later was not seen.
    """

    tables: tuple[InputEvidence, ...]
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
                InputEvidence(**{**table, "periods": tuple(table["periods"]) if table["periods"] else None})
                for table in values["tables"]
            )
            return cls(tables, datetime.fromisoformat(values["read_at"]))
        except (ValueError, KeyError, TypeError) as error:
            raise DefinitionError(
                f"versions that cannot be read ({error})", "what versions.to_json() gave", "pass that text unchanged"
            ) from None

    def of(self, name: str) -> InputEvidence:
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
        table: The table, in the generation that is read.
        version: The Delta version that is read; None where it was never written.
        periods: Those in which what was asked for can lie; none of a static table.
    """

    table: StateTable
    version: int | None
    periods: Sequence[Period]

    @property
    def pinned(self) -> int:
        """The Delta version as an engine takes it: version 0, which creates a table, holds no rows."""
        return self.version or 0

    def evidence(self) -> InputEvidence:
        """What was read, with the hash of its content."""
        hashes = partial(StateTable.data_versions, version=self.pinned)
        return replace(window_evidence(self.table, self.periods, hashes), delta_version=self.version)


def read_again(platform: Platform, name: str, versions: ReadVersions) -> Read:
    """A table as an earlier reading read it, in the generation that it had then.

    Raises:
        DefinitionError: It was not read then, or that generation is not known.
        ContractError: That Delta version no longer holds what was read.
    """
    recorded = versions.of(name)
    table = _in_generation(platform, platform.table(name), recorded.generation)
    calendar = table.schema.calendar
    first, last = (calendar.at_key(key) for key in recorded.periods) if recorded.periods else (None, None)
    read = Read(table, recorded.delta_version, list(calendar.between(first, last)) if first and last else [])
    if read.evidence() != recorded:
        raise ContractError(
            f"Delta version {read.version} of '{name}' no longer holds what was read of it",
            f"content {recorded.data_version}",
            "restore the table from a backup",
        )
    return read


def _in_generation(platform: Platform, table: StateTable, generation: str | None) -> StateTable:
    if table.delta.folder.name == generation:
        return table
    for record in generations(platform, table.name):
        if record.generation == generation:
            stored = generation_as_stored(platform, table, record)
            if set(stored.schema.keys) == set(table.schema.keys):
                # What is recorded of a definition has no order: keys, and with them a lookup_key, keep the present one.
                places = {name: place for place, name in enumerate(table.schema.names)}  # what is gone stands behind
                columns = sorted(stored.schema.columns, key=lambda column: places.get(column.name, len(places)))
                return replace(stored, schema=replace(stored.schema, keys=table.schema.keys, columns=tuple(columns)))
    raise DefinitionError(
        f"table '{table.name}' in generation {generation}, which this home does not know with its present keys",
        f"a generation that was computed here, such as {table.delta.folder.name}",
        "open the project and the home that were read",
    )
