"""The Model component: labels, the chain that trains, and the chain that scores and monitors."""

import dagster as dg

from mlops_assets.components.loading import ProjectComponent, partitions_of, project_of
from mlops_assets.components.model_attribution import attribution_asset
from mlops_assets.components.model_scoring import drift_asset, performance_asset, predictions_asset
from mlops_assets.components.model_shadow import challenger_comparison_asset, challenger_predictions_asset
from mlops_assets.components.model_skew import skew_asset
from mlops_assets.components.model_training import (
    candidate_asset,
    champion_asset,
    labels_asset,
    training_set_asset,
    version_asset,
)
from mlops_assets.project.model_attributes import ModelAttributes


class Model(ProjectComponent):
    """A model: its population, label, features, template, gates and retrain policy."""

    attributes_model = ModelAttributes

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Labels, training_set, candidate, version, champion, predictions, performance, drift_report and attribution.

        Where versions wait for approval also challenger_predictions and challenger_comparison, and where requests are
        kept, skew.
        """
        project = project_of(context)
        model = project.models[self.name]
        partitions = partitions_of(model.schema.calendar, model.first, model.last)
        shadow = (challenger_predictions_asset, challenger_comparison_asset) if model.approval == "required" else ()
        answered = (skew_asset,) if model.request_log.log_share else ()
        builders = (
            labels_asset,
            training_set_asset,
            candidate_asset,
            version_asset,
            champion_asset,
            predictions_asset,
            performance_asset,
            drift_asset,
            attribution_asset,
            *shadow,
            *answered,
        )
        return dg.Definitions(assets=[build(project, model, partitions) for build in builders])
