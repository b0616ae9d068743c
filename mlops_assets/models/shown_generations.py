"""The generations of a feature table, for people: what each was defined as, what it holds, what was trained on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.features.differences import differences
from mlops_assets.features.generations import computed_periods, count_of, generations
from mlops_assets.models.agreement import TrainedOn
from mlops_assets.models.records import candidates
from mlops_assets.platform import Platform
from mlops_assets.project.definition import FeatureTableDefinition


@dataclass(frozen=True)
class ShownGeneration:
    """One generation.

    Args:
        generation: Its hash.
        present: Whether it is the one that the project defines now.
        first_seen: Platform clock, UTC, when its first partition was computed.
        definition: Canonical text of each part.
        periods: Keys of the periods that it has.
        trained: The trainings on it, as ``model at period``.
    """

    generation: str
    present: bool
    first_seen: datetime
    definition: Mapping[str, str]
    periods: tuple[str, ...]
    trained: tuple[str, ...]


def shown_generations(platform: Platform, table: FeatureTableDefinition) -> list[ShownGeneration]:
    """The generations of a feature table that the home holds, in the order in which they were first seen."""
    trained = {
        (TrainedOn.from_json(record.trained_on).tables.get(table.name), f"{model.name} at {record.at}"): None
        for model in platform.project.models.values()
        for record in candidates(platform, model)
    }
    shown = []
    for record in generations(platform, table.name):
        folder = platform.generation_folder(table.name, record.generation)
        shown.append(
            ShownGeneration(
                record.generation,
                record.generation == table.generation,
                record.first_seen,
                record.definition,
                tuple(computed_periods(folder, table.schema.calendar, table.first, folder.newest_period())),
                tuple(words for generation, words in trained if generation == record.generation),
            )
        )
    return shown


def as_text(shown: list[ShownGeneration]) -> str:
    """Generations for people, each with what is different from the one before."""
    lines: list[str] = []
    before: Mapping[str, str] = {}
    for item in shown:
        present = ", as the project defines it now" if item.present else ""
        lines.append(f"{item.generation}, first seen {item.first_seen.isoformat()}{present}")
        lines.append(f"  holds {count_of(item.periods) if item.periods else 'no periods'}")
        lines.append(f"  trained on it: {', '.join(item.trained) or 'nothing'}")
        lines += [f"  {line}" for found in differences(before, item.definition) for line in found.as_lines()]
        before = item.definition
    return "\n".join(lines) or "nothing was computed yet"
