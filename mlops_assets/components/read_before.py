"""What the newest materializations of an asset recorded as read, and whether computing again would read the same."""

from collections.abc import Collection, Sequence

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.governance.evidence import InputEvidence
from mlops_assets.lakehouse import formats


def newest_materializations(
    instance: dg.DagsterInstance, key: dg.AssetKey, partitions: Collection[str]
) -> dict[str, dg.AssetMaterialization]:
    """The newest materialization of each partition, but for the last of a run that was killed: its checks may miss."""
    materialization = dg.DagsterEventType.ASSET_MATERIALIZATION
    by_partition = instance.event_log_storage.get_latest_storage_id_by_partition(key, materialization)
    newest = [storage_id for partition, storage_id in by_partition.items() if partition in partitions]
    if not newest:
        return {}
    found = instance.fetch_materializations(dg.AssetRecordsFilter(key, storage_ids=newest), limit=len(newest)).records
    last_of_run: dict[str, int] = {}
    for record in found:
        last_of_run[record.run_id] = max(record.storage_id, last_of_run.get(record.run_id, 0))
    runs = {run_id: instance.get_run_by_id(run_id) for run_id in last_of_run}
    events = [
        record.asset_materialization
        for record in found
        if record.storage_id != last_of_run[record.run_id] or ((run := runs[record.run_id]) and run.is_success)
    ]
    return {event.partition: event for event in events if event and event.partition}


def reads_the_same(event: dg.AssetMaterialization, definition: str, inputs: Sequence[InputEvidence]) -> bool:
    """Whether a materialization was computed by a definition from inputs, of what they now hold in what is read."""
    recorded = event.metadata[constants.EVIDENCE].value
    assert isinstance(recorded, dict)
    read = {item["name"]: item["data_version"] for item in recorded["inputs"]}
    return (
        recorded.get(formats.MEMBER, formats.UNNUMBERED) == formats.EVIDENCE
        and recorded["definition_hash"] == definition
        and all(read.get(input_.name) == input_.data_version for input_ in inputs)
    )
