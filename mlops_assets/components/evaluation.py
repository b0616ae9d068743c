"""An evaluation in the page of an asset: its drawings and its figures, which Dagster shows as Markdown."""

import base64
from typing import Any

import dagster as dg

from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.platform import Platform


def evaluation_figures(platform: Platform, model: ModelDefinition, candidate: str) -> dict[str, Any]:
    """The report of a candidate as metadata; nothing of one that was trained before there were reports."""
    from mlops_assets.models.evaluation_text import as_markdown
    from mlops_assets.models.plots import plots
    from mlops_assets.models.records import evaluation_of

    evaluation = evaluation_of(platform, model, candidate)
    if evaluation is None:
        return {}
    drawn = {f"plot of {name}": _image(name, text) for name, text in plots(evaluation).items()}
    return {"evaluation": dg.MarkdownMetadataValue(as_markdown(evaluation)), **drawn}


def _image(name: str, svg: str) -> dg.MarkdownMetadataValue:
    return dg.MarkdownMetadataValue(f"![{name}](data:image/svg+xml;base64,{base64.b64encode(svg.encode()).decode()})")
