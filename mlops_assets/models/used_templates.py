"""Which recipe each version of a template had when it was first used: it may not change under the same version."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from mlops_assets.errors import ConflictError, DefinitionError
from mlops_assets.lakehouse.records import read_records, write_new_record
from mlops_assets.platform import Platform
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.model_parts import TemplateChoice


@dataclass(frozen=True)
class UsedTemplate:
    """The first use of a template's version.

    Args:
        template: Name and version.
        definition_hash: Hash of the recipe.
        model: The model that was trained with it first.
        used_at: Platform clock, UTC.
    """

    template: str
    definition_hash: str
    model: str
    used_at: datetime


def require_same_recipe(platform: Platform, model: ModelDefinition) -> None:
    """See that a model's template is the one that was used under its name and version before.

    Raises:
        DefinitionError: It is another.
    """
    choice = model.template
    for used in read_records(platform.used_templates, UsedTemplate):
        if used.template == _key(choice) and used.definition_hash != choice.definition_hash:
            raise DefinitionError(
                f"template '{choice.name}' version {choice.version} of '{model.name}', changed since '{used.model}' "
                f"was trained with it at {used.used_at.isoformat()}",
                f"the recipe {used.definition_hash[:8]} under that version; it is {choice.definition_hash[:8]} now",
                f"raise the version to {choice.version + 1}, or take the change back",
                where=choice.function.location if choice.function else model.location,
            )


def record_recipe(platform: Platform, model: ModelDefinition) -> None:
    """Record the recipe of a model's template, unless that was done.

    Raises:
        DefinitionError: Another was recorded under its name and version.
    """
    choice = model.template
    used = UsedTemplate(_key(choice), choice.definition_hash, model.name, platform.clock.now())
    with suppress(ConflictError):  # it was recorded before, or another training was faster
        write_new_record(platform.used_templates, used)
    require_same_recipe(platform, model)


def _key(choice: TemplateChoice) -> str:
    return f"{choice.name}.{choice.version}"
