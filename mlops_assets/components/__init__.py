"""The three components: YAML in, assets and checks out."""

from mlops_assets.components.feature_table import FeatureTable
from mlops_assets.components.model import Model
from mlops_assets.components.source import Source

__all__ = ["FeatureTable", "Model", "Source"]
