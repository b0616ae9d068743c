"""What all assets of a model share: their keys, their documentation, and when they are due."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from mlops_assets.components.loading import documented, step_documentation
from mlops_assets.project.definition import ModelDefinition

Partitions = dg.TimeWindowPartitionsDefinition


def asset_key(model: ModelDefinition, step: str) -> dg.AssetKey:
    """The key of one of a model's assets."""
    return dg.AssetKey([model.name, step])


def model_asset(
    model: ModelDefinition,
    step: str,
    description: str,
    kinds: set[str],
    *files: Path,
    metadata: Mapping[str, Any] | None = None,
    **arguments: Any,
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Dagster's decorator for one of a model's assets.

    Args:
        model: The model.
        step: Which of its assets.
        description: What the asset is, put before the model's own description.
        kinds: What makes and holds it, as Dagster marks assets.
        files: What the user wrote for it, beside the YAML.
        metadata: What is shown of it in Dagster.
        arguments: Of ``dagster.asset``; its code version is the model's generation unless given.
    """
    about = step_documentation(model, description)
    shared = documented(about, model.location, model.name, kinds, *files, **(metadata or {}))
    return dg.asset(key=asset_key(model, step), **{"code_version": model.generation, **shared, **arguments})


def check_specs(key: dg.AssetKey, partitions: Partitions, described: Mapping[str, str]) -> list[dg.AssetCheckSpec]:
    """The checks of an asset's partitions, by name what each says."""
    return [
        dg.AssetCheckSpec(name, asset=key, partitions_def=partitions, description=text)
        for name, text in described.items()
    ]


def unblocking_check(key: dg.AssetKey, name: str, passed: bool, words: str, **metadata: float) -> dg.AssetCheckResult:
    """The result of a check that stops nothing: one that failed is a warning."""
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=passed,
        severity=dg.AssetCheckSeverity.WARN,
        description=words,
        metadata=metadata,
    )
