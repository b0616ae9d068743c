"""From what a domain function did to what Dagster records of it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import dagster as dg

from mlops_assets.components import constants
from mlops_assets.errors import ConflictError, PlatformError, UnusableEnvironmentError
from mlops_assets.features.correction_report import Reach
from mlops_assets.features.states import Written
from mlops_assets.governance.evidence import Evidence
from mlops_assets.markdown import as_table
from mlops_assets.platform import Platform
from mlops_assets.project.definition import SourceDefinition
from mlops_assets.project.expectations import Expectation, Freshness
from mlops_assets.quality.contract import CONTRACT_CHECKS, BrokenContractError, CheckOutcome
from mlops_assets.sources.quarantine import QUARANTINE_EMPTY


def result(
    platform: Platform,
    asset: dg.AssetKey,
    evidence: Evidence,
    data_version: str,
    *,
    rows: int | None = None,
    figures: Mapping[str, Any] | None = None,
    checks: Iterable[dg.AssetCheckResult] = (),
) -> dg.MaterializeResult:
    """One materialization: its data version, evidence, row count and figures to plot.

    Args:
        platform: The platform that did it.
        asset: Which asset.
        evidence: What is recorded of it.
        data_version: Content hash of what was made.
        rows: Row count, where it is a table.
        figures: Further metadata; numbers are plotted by the user interface.
        checks: Results of the asset's checks.
    """
    metadata: dict[str, Any] = {
        constants.EVIDENCE: dg.JsonMetadataValue(evidence.as_json()),
        constants.CLOCK: platform.clock.now().isoformat(),
        **(figures or {}),
    }
    if evidence.known_at:
        metadata[constants.KNOWN_AT] = evidence.known_at.isoformat()
    if rows is not None:
        metadata[constants.ROW_COUNT] = dg.IntMetadataValue(rows)
    return dg.MaterializeResult(
        asset_key=asset, metadata=metadata, data_version=dg.DataVersion(data_version), check_results=list(checks)
    )


CONTRACT = "contract"
DELIVERY_WHOLE = "delivery_whole"
BLOCKING_CHECKS = {
    CONTRACT: "Declared columns and types; keys unique and not null; no nulls and values where none are allowed.",
    DELIVERY_WHOLE: "The delivery is not cut short: not too few rows, not too many removed.",
}
"""Checks that stop the line when they fail; the rules of a contract are figures of its one check."""


def blocking_specs(
    asset: dg.AssetKey, partitions: dg.PartitionsDefinition[Any] | None, *names: str
) -> list[dg.AssetCheckSpec]:
    """Some of `BLOCKING_CHECKS` for an asset."""
    return [
        dg.AssetCheckSpec(
            name, asset=asset, description=BLOCKING_CHECKS[name], blocking=True, partitions_def=partitions
        )
        for name in names
    ]


def expectation_specs(
    asset: dg.AssetKey, partitions: dg.PartitionsDefinition[Any] | None, expectations: Iterable[Expectation]
) -> list[dg.AssetCheckSpec]:
    """A check for each expectation, of each partition; how fresh a table is, is a matter of the whole table."""
    return [
        dg.AssetCheckSpec(
            expectation.name,
            asset=asset,
            description=expectation.description,
            blocking=expectation.severity == "block",
            partitions_def=None if isinstance(expectation.rule, Freshness) else partitions,
        )
        for expectation in expectations
    ]


def quarantine_specs(asset: dg.AssetKey, source: SourceDefinition) -> list[dg.AssetCheckSpec]:
    """The check on the whole quarantine of a source that puts bad rows aside."""
    if not source.max_bad_share:
        return []
    description = f"No row waits in quarantine; up to {source.max_bad_share:.4g} of a delivery's rows may be put there."
    return [dg.AssetCheckSpec(QUARANTINE_EMPTY, asset=asset, description=description)]


def check_results(asset: dg.AssetKey, outcomes: Sequence[CheckOutcome]) -> list[dg.AssetCheckResult]:
    """The results of an asset's checks: one for all rules of the contract, and one for each other outcome."""
    by_check: dict[str, list[CheckOutcome]] = {}
    for outcome in outcomes:
        by_check.setdefault(CONTRACT if outcome.name in CONTRACT_CHECKS else outcome.name, []).append(outcome)
    return [
        dg.AssetCheckResult(
            asset_key=asset,
            check_name=name,
            passed=all(outcome.passed for outcome in found),
            severity=severity_of(found[0]),
            description="; ".join(outcome.found for outcome in found if not outcome.passed or outcome.expected)
            or "as declared",
            metadata={
                **{f"{outcome.name}: broken by rows": outcome.failures for outcome in found if not outcome.figures},
                **{figure: value for outcome in found for figure, value in outcome.figures.items()},
            },
        )
        for name, found in by_check.items()
    ]


def severity_of(outcome: CheckOutcome) -> dg.AssetCheckSeverity:
    """How Dagster shows a failure: what keeps rows out is an error, all else a warning."""
    return dg.AssetCheckSeverity.ERROR if outcome.blocks else dg.AssetCheckSeverity.WARN


def report_outcome(instance: dg.DagsterInstance, asset: dg.AssetKey, outcome: CheckOutcome) -> None:
    """Record a check of a whole table outside of a run of its asset; Dagster keeps one such of a partition only."""
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=asset,
            check_name=outcome.name,
            passed=outcome.passed,
            severity=severity_of(outcome),
            description=outcome.found,
            metadata=outcome.figures,
        )
    )


def plotted(outcomes: Iterable[CheckOutcome]) -> dict[str, float]:
    """The figures of checks for the asset's own page, which plots them over its materializations."""
    return {f"{outcome.name}: {name}": value for outcome in outcomes for name, value in outcome.figures.items()}


def failed_checks(asset: dg.AssetKey, error: PlatformError) -> Iterator[dg.AssetCheckResult]:
    """What the checks of a refused asset found; nothing was written."""
    if isinstance(error, BrokenContractError):
        yield from check_results(asset, error.outcomes)


def failure(error: PlatformError) -> dg.Failure:
    """The failure of a step with an error's one message; tried again only where another writer or the machine failed.

    What is missing or wrong is so the second time, too.
    """
    return dg.Failure(str(error), allow_retries=isinstance(error, ConflictError | UnusableEnvironmentError))


@contextmanager
def in_words() -> Iterator[None]:
    """Let an error of ours fail the step with its one message, without a trace of our code.

    Raises:
        Failure: With the error's text.
    """
    try:
        yield
    except PlatformError as error:
        raise failure(error) from error


def written_figures(written: Written) -> dict[str, Any]:
    """What was written, as figures: states, numbers that are null for they were not finite, corrections."""
    return {
        "states appended": written.appended,
        **{f"not finite: {name}": count for name, count in written.not_finite.items()},
        **_corrections_table(written.corrections),
    }


def _corrections_table(corrections: Mapping[datetime, int]) -> dict[str, Any]:
    """What a partition got at each correction of what it rests on, as figures; none where there was none."""
    if not corrections:
        return {}
    rows = [[moment.isoformat(), str(states)] for moment, states in corrections.items()]
    table = as_table(["known at", "states appended"], rows)
    return {"corrections": len(corrections), "corrected at": dg.MarkdownMetadataValue(table)}


def reach_table(reach: Reach) -> dict[str, Any]:
    """What rests on a corrected partition, as figures: the partitions to compute again, and the models."""
    rows = [[name, first, last or "the newest"] for name, (first, last) in reach.tables.items()]
    table = as_table(["rests on it", "from", "to"], rows)
    return {"reaches": dg.MarkdownMetadataValue(table), "reaches models": ", ".join(reach.models) or "none"}


def as_text(values: Mapping[str, Any]) -> str:
    """Values as JSON text, in the order of their names."""
    return json.dumps(values, sort_keys=True, default=str)
