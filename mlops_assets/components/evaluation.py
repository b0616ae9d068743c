"""An evaluation in the page of an asset: its drawings and its figures, which Dagster shows as Markdown."""

import base64
from typing import Any

import dagster as dg

from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition


def evaluation_figures(platform: Platform, model: ModelDefinition, candidate: str) -> dict[str, Any]:
    """The report of a candidate as metadata; nothing of one that was trained before there were reports.

    One value holds all of it: Dagster shows Markdown of 1,000 characters and more once it is clicked.
    """
    from mlops_assets.models.evaluation_text import as_markdown, in_brief
    from mlops_assets.models.plots import plots
    from mlops_assets.models.records import evaluation_of

    evaluation = evaluation_of(platform, model, candidate)
    if evaluation is None:
        return {}
    drawn = [_image(name, text) for name, text in plots(evaluation, platform.home.scratch).items()]
    return {
        "evaluation in brief": in_brief(evaluation),
        "evaluation": dg.MarkdownMetadataValue("\n\n".join([as_markdown(evaluation), *drawn])),
    }


def _image(name: str, svg: str) -> str:
    return f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})"
