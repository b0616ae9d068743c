"""The baseline as a version: what serves where a champion does worse than it, and no candidate passes.

It is a training as any other, by a template that says what the baseline says, so that it is registered, promoted,
served, watched, made again and rolled back in the same ways. Its gates are not asked: that it beats the champion was
seen on labels that came after the champion was trained, and no validation says more.
"""

from dataclasses import replace

from mlops_assets.models.records import CandidateRecord
from mlops_assets.models.verdict import Verdict
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.model_parts import FittingChoice, TemplateChoice
from mlops_assets.templates import find_template


def baseline_model(model: ModelDefinition) -> ModelDefinition:
    """The same model, whose template is its baseline: no weights, no search, no rounds.

    Of a classification, shares by level are not smoothed by one row as those of `mlops_assets.models.baseline` are,
    and null is a level of its own.
    """
    if model.baseline is None:
        name, params = "prior_classifier", dict[str, object]()
    else:
        kind = "regressor" if model.task == "regression" else "classifier"
        name, params = f"seasonal_naive_{kind}", {"column": model.baseline}
    template = find_template(name, 1)
    choice = TemplateChoice(name, template.version, params, model.template.seed, template.definition_hash)
    return replace(model, template=choice, fitting=FittingChoice())


def as_trained(model: ModelDefinition, training: CandidateRecord) -> ModelDefinition:
    """The model as it is defined now, with what a training of its kind fits."""
    return baseline_model(model) if training.is_baseline else model


def unasked(verdict: Verdict, reason: str) -> Verdict:
    """The verdict on a baseline that is to serve: what gates measured stays, and none of them refuses it."""
    words = f"not asked of the baseline, which serves: {reason}"
    return Verdict(tuple(replace(one, passed=True, reason=f"{words} ({one.reason})") for one in verdict.outcomes))
