"""The page of all models: how each stands, and what waits for somebody."""

from collections import Counter
from dataclasses import dataclass

from mlops_assets.monitoring.incidents import incident_events, incidents_of
from mlops_assets.monitoring.timeline import Errors, Standing, Timeline, errors_over, standing, timeline_of
from mlops_assets.platform import Platform
from mlops_assets.serving.pages.rendering import Frame, render
from mlops_assets.serving.pages.search import MODELS, model_address
from mlops_assets.serving.pages.timeline_chart import sparkline

MODELS_ON_A_PAGE = 25
STANDINGS: tuple[Standing, ...] = ("look at it", "no version yet", "no labels yet", "too little history", "good")
"""In which order models are listed: what somebody has to look at first."""


@dataclass(frozen=True)
class _Row:
    timeline: Timeline
    state: Standing
    sentences: tuple[str, ...]
    errors: Errors | None
    age: int | None
    lines: tuple[str, str]
    address: str
    incidents: int


def models_page(platform: Platform, asked: int, frame: Frame) -> str:
    """The page of all models, by name, so many at once; of these what is to be looked at stands first.

    Args:
        platform: The platform.
        asked: Which page of the list, from 1; beyond the last it is the last.
        frame: For whom, and where.
    """
    names = sorted(platform.project.models)
    last = max((len(names) - 1) // MODELS_ON_A_PAGE + 1, 1)
    number = min(asked, last)
    shown = names[(number - 1) * MODELS_ON_A_PAGE : number * MODELS_ON_A_PAGE]
    off = Counter(one.subject for one in incidents_of(incident_events(platform)) if one.closed_at is None)
    rows = [_row(timeline_of(platform, platform.project.model(name)), off[name]) for name in shown]
    return render(
        "models",
        frame,
        rows=sorted(rows, key=lambda row: STANDINGS.index(row.state)),
        total=len(names),
        personal=sum(bool(model.personal_names) for model in platform.project.models.values()),
        page=number,
        last=last,
        before=f"{MODELS}?page={number - 1}" if number > 1 else None,
        after=f"{MODELS}?page={number + 1}" if number < last else None,
    )


def _row(timeline: Timeline, incidents: int) -> _Row:
    state, sentences = standing(timeline)
    model, champion = timeline.model, timeline.champion
    training = timeline.training_of(champion.version) if champion else None
    calendar = model.schema.calendar
    now = model.speaks_about(timeline.now)
    age = calendar.distance(calendar.at_key(training.candidate.at), now) if training else None
    return _Row(
        timeline,
        state,
        tuple(sentences),
        errors_over(model.metric, timeline.newest),
        age,
        sparkline(timeline),
        model_address(model.name),
        incidents,
    )
