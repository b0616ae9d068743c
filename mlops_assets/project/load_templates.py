"""A model's template and how it is fitted, from its document."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from mlops_assets.errors import DefinitionError, nearest
from mlops_assets.lakehouse.schema import Column, is_number
from mlops_assets.project import model_attributes as written
from mlops_assets.project.model_attributes import Range, Search
from mlops_assets.project.model_parts import EarlyStopping, FittingChoice, TemplateChoice
from mlops_assets.project.python_function import TEMPLATE, PythonFunction, read_function_for
from mlops_assets.project.tasks import classes_of
from mlops_assets.project.yaml_files import Document
from mlops_assets.templates import TEMPLATES, check_parameters, find_template


def load_template(
    document: Document, parsed: written.ModelAttributes, features: Sequence[Column], root: Path
) -> TemplateChoice:
    """Resolve a model's template, one of the library or the user's own.

    Raises:
        DefinitionError: There is none such, it is for another task, or does not take a parameter.
    """
    chosen = parsed.template
    if chosen.python is not None:
        function = _own_function(document, chosen, root)
        hash_, allowed = function.definition_hash, tuple(chosen.allow_pickle)
        return TemplateChoice(chosen.name, chosen.version, chosen.params, chosen.seed, hash_, function, allowed)
    if chosen.allow_pickle:
        raise DefinitionError(
            f"allow_pickle for '{chosen.name}', which comes with the platform",
            "allow_pickle only beside python, for a template of your own",
            "take it out: model files of this template run no code",
            where=document.at("template", "allow_pickle"),
        )
    with document.located("template", "name"):
        template = find_template(chosen.name, chosen.version)
    if parsed.task not in template.tasks:
        raise DefinitionError(
            f"template '{chosen.name}' for the task {parsed.task}",
            f"one of: {', '.join(dict.fromkeys(each.name for each in TEMPLATES if parsed.task in each.tasks))}",
            "choose one of them, or correct the task",
            where=document.at("template", "name"),
        )
    unknown = [name for name in chosen.params if name not in template.takes]
    with document.located("template", "params", *unknown[:1]):
        check_parameters(template, chosen.params)
    for name, kind in template.columns.items():
        fitting = [column.name for column in features if column.kind == kind]
        if chosen.params[name] not in fitting:
            raise DefinitionError(
                f"'{chosen.params[name]}' as the {name} of '{chosen.name}'",
                f"a feature that is a {kind}: {', '.join(fitting) or 'this model has none'}",
                nearest(str(chosen.params[name]), fitting, "name one of them, or add it to features"),
                where=document.at("template", "params", name),
            )
    return TemplateChoice(chosen.name, chosen.version, chosen.params, chosen.seed, template.definition_hash)


def _own_function(document: Document, chosen: written.TemplateAttributes, root: Path) -> PythonFunction:
    if chosen.name in {template.name for template in TEMPLATES}:
        raise DefinitionError(
            f"an own template named '{chosen.name}', as one that comes with the platform",
            "a name of its own",
            "choose another name",
            where=document.at("template", "name"),
        )
    with document.located("template", "python"):
        function = read_function_for(chosen.python or "", TEMPLATE, beside=document.file.parent, root=root)
    for name in chosen.params:
        if name not in function.parameters:
            raise DefinitionError(
                f"parameter {name} of template '{chosen.name}'",
                f"among: {', '.join(function.parameters) or 'none, it takes no parameters'}",
                nearest(name, function.parameters, "correct the name, or give the function such a parameter"),
                where=document.at("template", "params", name),
            )
    return function


def load_fitting(
    document: Document,
    parsed: written.ModelAttributes,
    template: TemplateChoice,
    features: Sequence[Column],
    periods: Callable[..., int],
) -> FittingChoice:
    """How a model's template is fitted.

    Args:
        document: Where it stands.
        parsed: The model.
        template: Its template.
        features: Its features, those that come with a request among them.
        periods: Counts the periods of the duration at a place of the document.

    Raises:
        DefinitionError: The weight is no number of the training set, what is weighed is no class, the template has no
            rounds to stop, or a parameter cannot be searched.
    """
    train = parsed.train
    numbers = [column.name for column in features if is_number(column.type)]
    if train.weight is not None:
        found, what = f"'{train.weight}' as the weight of rows", "a feature or request column of numbers"
        cure = "name one of them, or let the population's SQL give it"
        document.require_among(train.weight, numbers, found, cure, "train", "weight", what=what)
    class_weight, stopping = _class_weight(document, parsed), None
    if train.early_stopping is not None:
        with document.located("train", "early_stopping"):
            rounds = _rounds(template, train.early_stopping.rounds)
        stopping = EarlyStopping(periods("train", "early_stopping", "periods"), train.early_stopping.patience, rounds)
    if train.search is not None:
        _require_searchable(document, train.search, template, stopping.rounds if stopping else None)
    return FittingChoice(train.weight, class_weight, stopping, train.search)


def _require_searchable(document: Document, search: Search, template: TemplateChoice, rounds: str | None) -> None:
    own = template.function
    takes = own.parameters if own else find_template(template.name, template.version).parameters
    names = [name for name in takes if name != rounds]
    for name, values in search.params.items():
        path = ("train", "search", "params", name)
        place = document.at(*path)
        found = f"a search for '{name}'" + (", which early stopping sets" if name == rounds else "")
        document.require_among(name, names, found, "correct the name, or leave it out", *path, what="among")
        if not isinstance(values, Range):
            if not values:
                raise DefinitionError(f"no value of '{name}' to try", "at least one", "list some", where=place)
            continue
        if search.strategy == "grid":
            expected, cure = "a list of values for each parameter", "list them, or write strategy: random"
            raise DefinitionError(f"a range of '{name}' in a grid", expected, cure, where=place)
        if values.low >= values.high or (values.log and values.low <= 0):
            raise DefinitionError(
                f"a range of '{name}' from {values.low:g} to {values.high:g}",
                "low below high" + (", and above 0 with log" if values.log else ""),
                "correct it",
                where=place,
            )


def _rounds(template: TemplateChoice, declared: str | None) -> str:
    """The parameter of a template that counts rounds."""
    if template.function is not None:
        takes = template.function.parameters
        if declared not in takes:
            raise DefinitionError(
                f"early stopping of template '{template.name}' with rounds: {declared or 'nothing'}",
                f"its parameter that counts rounds, among: {', '.join(takes) or 'none, it takes no parameters'}",
                "name it under early_stopping, such as rounds: n_estimators",
            )
        return declared
    rounds = find_template(template.name, template.version).rounds
    if rounds is None:
        raise DefinitionError(
            f"early stopping of template '{template.name}', which has no rounds",
            f"one of: {', '.join(dict.fromkeys(each.name for each in TEMPLATES if each.rounds))}",
            "take early_stopping out, or choose another template",
        )
    if declared not in (None, rounds):
        found = f"rounds: {declared} of template '{template.name}'"
        raise DefinitionError(found, f"{rounds}, which it knows by itself", "take rounds out")
    return rounds


def _class_weight(
    document: Document, parsed: written.ModelAttributes
) -> Literal["balanced"] | tuple[tuple[str, float], ...] | None:
    declared, place = parsed.train.class_weight, document.at("train", "class_weight")
    if declared is None:
        return None
    if parsed.task == "regression":
        raise DefinitionError(
            "train.class_weight of a regression",
            "a binary or multiclass task",
            "take it out, or weigh rows by a column: train.weight",
            where=place,
        )
    if declared == "balanced":
        return declared
    classes = classes_of(parsed.task, parsed.label.classes)
    # YAML reads true and false as booleans, and a class such as 1 as a number.
    weights = {str(name).lower() if isinstance(name, bool) else str(name): weight for name, weight in declared.items()}
    for name, weight in weights.items():
        found = f"a weight of the class '{name}'"
        document.require_among(name, classes, found, "name one of them", "train", "class_weight", what="among")
        if weight <= 0:
            raise DefinitionError(
                f"the weight {weight:g} of the class '{name}'", "greater than 0", "correct it", where=place
            )
    return tuple((name, weights[name]) for name in classes if name in weights)
