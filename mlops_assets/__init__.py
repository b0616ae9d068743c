"""An MLOps platform on Dagster: from source tables to retrained models, every step an asset with lineage."""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlops_assets.components import FeatureTable, Model, Source
    from mlops_assets.notebook import FeatureLookup, Project

__all__ = ["FeatureLookup", "FeatureTable", "Model", "Project", "Source"]

_HOMES = {
    "FeatureLookup": "mlops_assets.notebook",
    "FeatureTable": "mlops_assets.components",
    "Model": "mlops_assets.components",
    "Project": "mlops_assets.notebook",
    "Source": "mlops_assets.components",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command line does not need Dagster for everything."""
    if name not in _HOMES:
        raise AttributeError(f"module 'mlops_assets' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    """The public names, for Dagster's registry of components."""
    return [*globals(), *__all__]
