"""What Dagster's user interface shows as out of sync with what it was made from."""

import dagster as dg

from mlops_assets.components.private_dagster import private

_RESOLVER = private(
    "dagster._core.definitions.data_version", "CachingStaleStatusResolver", "tests of what the user interface shows"
)
_CONTEXT = private("dagster._core.loader", "LoadingContextForTest", "tests of what the user interface shows")


def stale(
    definitions: dg.Definitions, instance: dg.DagsterInstance, key: dg.AssetKey, partitions: list[str]
) -> list[str]:
    """Those partitions of an asset that are stale."""
    resolver = _RESOLVER(instance, definitions.resolve_asset_graph(), _CONTEXT(instance))
    return [partition for partition in partitions if resolver.get_status(key, partition).value == "STALE"]
