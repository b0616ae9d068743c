"""Templates: versioned, reusable recipes for an estimator; they know nothing of stores, registries or deployment."""

from mlops_assets.templates.library import TEMPLATES, find_template
from mlops_assets.templates.template import (
    Template,
    build_estimator,
    check_parameters,
    require_valid,
)

__all__ = ["TEMPLATES", "Template", "build_estimator", "check_parameters", "find_template", "require_valid"]
