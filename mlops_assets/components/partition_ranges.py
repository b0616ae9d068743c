"""One run over many partitions, with an event, a data version and checks for each as soon as it is done.

Dagster gives all partitions of a run one data version, and reports them at its end. So the body is run for each
partition here, and what it yields becomes the partition's own events; Dagster's report for all of them is left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

import dagster as dg

from mlops_assets.components.private_dagster import (
    BACKFILL_ID_TAG,
    CODE_VERSION_TAG,
    DATA_VERSION_IS_OURS_TAG,
    DATA_VERSION_TAG,
    DEFAULT_DATA_VERSION,
    MAX_UPSTREAM_PARTITIONS,
    NO_EVENT,
    REPORTED_ALREADY,
    checked_materialization,
    data_version_of,
    input_event_tag,
    input_version_tag,
)

ONE_RUN = dg.BackfillPolicy.single_run()
"""The policy of assets that are `for_each_partition`: a backfill is one run, however many partitions it has."""

Body = Callable[[str], Iterator[Any]]
"""The body of an asset for one partition, by its key: yields its result and the results of checks."""


def for_each_partition(body: Body) -> Callable[..., Iterator[Any]]:
    """Make the body of an asset from its body for one partition.

    A partition that fails does not keep the others from theirs; the run fails at its end and names those that did.
    """

    def bodies(context: dg.AssetExecutionContext) -> Iterator[Any]:
        yield from body(context.partition_key) if context.has_partition_key else _over_range(context, body)

    bodies.__name__, bodies.__doc__ = body.__name__, body.__doc__
    return bodies


def _over_range(context: dg.AssetExecutionContext, body: Body) -> Iterator[Any]:
    done = _done_by_earlier_attempts(context)
    tags = _PartitionTags(context)
    failures: dict[str, str] = {}
    may_succeed = False
    for key in context.partition_keys:
        if key in done:
            continue
        try:
            for item in body(key):
                yield from _events_of(context, key, item, tags)
        except dg.Failure as failure:
            failures[key] = failure.description or "it failed"
            may_succeed |= failure.allow_retries
            context.log.error(f"{key}: {failures[key]}")
    for check in context.selected_asset_check_keys:
        yield dg.Output(None, output_name=context.assets_def.get_output_name_for_asset_check_key(check))
    if failures:
        first = next(iter(failures))
        words = f"{len(failures)} partitions failed: {_some(list(failures))}. {first}: {failures[first]}"
        raise dg.Failure(words, allow_retries=may_succeed)
    yield dg.MaterializeResult(asset_key=context.asset_key, metadata=REPORTED_ALREADY)


def _events_of(
    context: dg.AssetExecutionContext, partition: str, item: Any, tags: "_PartitionTags"
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """What Dagster would report of a result, had the run this partition alone."""
    if isinstance(item, dg.AssetCheckResult):
        yield _evaluation(context, partition, item)
        return
    if not isinstance(item, dg.MaterializeResult):
        raise TypeError(f"the body of {context.asset_key} yields {type(item)}; a range takes its results alone")
    version = item.data_version or DEFAULT_DATA_VERSION
    yield dg.AssetMaterialization(
        context.asset_key,
        partition=partition,
        metadata=item.metadata,
        tags={**tags.of(partition, version), **(item.tags or {})},
    )
    for check in item.check_results or ():
        yield _evaluation(context, partition, check)


def _evaluation(
    context: dg.AssetExecutionContext, partition: str, check: dg.AssetCheckResult
) -> dg.AssetCheckEvaluation:
    newest = context.instance.fetch_materializations(
        dg.AssetRecordsFilter(context.asset_key, asset_partitions=[partition]), limit=1
    ).records
    specs = {spec.name: spec for spec in context.assets_def.check_specs}
    name = check.check_name or next(iter(specs))
    return dg.AssetCheckEvaluation(
        asset_key=context.asset_key,
        check_name=name,
        passed=check.passed,
        metadata=check.metadata,
        target_materialization_data=checked_materialization(newest[0]) if newest else None,
        severity=check.severity,
        description=check.description,
        blocking=specs[name].blocking,
        partition=partition if specs[name].partitions_def else None,
    )


class _PartitionTags:
    """The tags by which Dagster tells whether a partition is stale: its data version, and what it read."""

    def __init__(self, context: dg.AssetExecutionContext) -> None:
        self._context = context
        self._asset = context.asset_key
        self._shared = {CODE_VERSION_TAG: context.assets_def.code_versions_by_key[self._asset] or context.run.run_id}
        backfill = context.run.tags.get(BACKFILL_ID_TAG)
        if backfill:
            self._shared[BACKFILL_ID_TAG] = backfill

    def of(self, partition: str, version: dg.DataVersion) -> dict[str, str]:
        """The tags of one partition."""
        tags = {**self._shared, DATA_VERSION_TAG: version.value, DATA_VERSION_IS_OURS_TAG: "true"}
        for dep, (pointer, versions) in self._inputs.items():
            tags[input_event_tag(dep)] = pointer
            tags[input_version_tag(dep)] = self._input_version(dep, partition, versions)
        return tags

    def _input_version(self, dep: dg.AssetKey, partition: str, versions: Mapping[str | None, str]) -> str:
        read = self._upstream(dep, partition)
        if read is None or len(read) >= MAX_UPSTREAM_PARTITIONS:
            return versions.get(None, DEFAULT_DATA_VERSION.value)
        return sha256("".join(versions[key] for key in sorted(read) if key in versions).encode()).hexdigest()

    def _upstream(self, dep: dg.AssetKey, partition: str) -> Sequence[str] | None:
        """The partitions of an input that a partition rests on; None where the input has none."""
        upstream = self._context.job_def.asset_layer.get(dep).partitions_def
        own = self._context.assets_def.partitions_def
        mapping = self._context.assets_def.get_partition_mapping(dep)
        if upstream is None or own is None or mapping is None:
            return None
        asked = own.subset_with_partition_keys([partition])
        return list(
            mapping.get_upstream_mapped_partitions_result_for_partitions(
                asked, own, upstream
            ).partitions_subset.get_partition_keys()
        )

    @cached_property
    def _inputs(self) -> dict[dg.AssetKey, tuple[str, Mapping[str | None, str]]]:
        """Of each input the newest event, and the data versions of its partitions (None: of the newest event)."""
        instance = self._context.instance
        deps = list(self._context.job_def.asset_layer.get(self._asset).parent_keys)
        inputs: dict[dg.AssetKey, tuple[str, Mapping[str | None, str]]] = {dep: (NO_EVENT, {}) for dep in deps}
        for record in instance.get_asset_records(deps):
            event, dep = record.asset_entry.last_materialization_record, record.asset_entry.asset_key
            if event is None:
                continue
            newest = data_version_of(event.event_log_entry) or DEFAULT_DATA_VERSION
            tagged = instance.event_log_storage.get_latest_tags_by_partition(
                dep, dg.DagsterEventType.ASSET_MATERIALIZATION, [DATA_VERSION_TAG]
            )
            versions = {key: tags[DATA_VERSION_TAG] for key, tags in tagged.items()}
            inputs[dep] = (str(event.storage_id), {**versions, None: newest.value})
        return inputs


def _done_by_earlier_attempts(context: dg.AssetExecutionContext) -> set[str]:
    """What this run, or the one that it repeats, has reported; but for the last of another, whose checks may miss."""
    run = context.run
    done = _reported(context, run.run_id) if context.retry_number else []
    while run.parent_run_id and (run := context.instance.get_run_by_id(run.parent_run_id)) and not run.is_success:
        done += _reported(context, run.run_id)[:-1]
    return set(done)


def _reported(context: dg.AssetExecutionContext, run_id: str) -> list[str]:
    entries = context.instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION)
    events = [entry.dagster_event for entry in entries if entry.dagster_event]
    return [event.partition for event in events if event.asset_key == context.asset_key and event.partition]


def _some(keys: Sequence[str]) -> str:
    shown: Iterable[str] = keys if len(keys) <= 3 else [*keys[:3], "…"]
    return ", ".join(shown)
