"""What every engine refuses before it answers: rows that lack what a lookup needs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mlops_assets.engines.contract import ResolvedLookup
from mlops_assets.errors import DefinitionError

if TYPE_CHECKING:
    import pyarrow as pa


def check_lookups(schema: "pa.Schema", lookups: Sequence[ResolvedLookup]) -> None:
    """See that every key of every lookup is there, with the type of the table's, and that no name comes twice.

    Args:
        schema: The columns of the rows asked for.
        lookups: What is looked up.

    Raises:
        DefinitionError: Something is not so.
    """
    import pyarrow as pa

    moment = pa.timestamp("us", "UTC")
    for name in ("anchor", "as_of"):
        if name not in schema.names or schema.field(name).type != moment:
            raise DefinitionError(
                f"rows without a column '{name}' of type {moment}", "a time in UTC for each row", f"add '{name}'"
            )
    names = set(schema.names)
    for lookup in lookups:
        table = lookup.table
        for key, column in zip(table.schema.keys, lookup.keys, strict=True):
            expected = table.schema.arrow().field(key).type
            if column not in schema.names:
                raise DefinitionError(
                    f"rows without the key column '{column}'",
                    f"the keys of '{table.name}': {', '.join(lookup.keys)}",
                    "add the column",
                )
            if schema.field(column).type != expected:
                raise DefinitionError(
                    f"key column '{column}' of type {schema.field(column).type}",
                    f"type {expected}, as in '{table.name}'",
                    "cast the column",
                )
        for _, name in lookup.answers:
            if name in names:
                raise DefinitionError(
                    f"a second column '{name}', looked up in '{table.name}'",
                    "one name for each column of the answer",
                    "rename the feature",
                )
            names.add(name)
