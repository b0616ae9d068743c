"""A fit as one file: in skops format, which runs no code, or as a pickle that its model allows by name.

A fit is used only where it is the one that was recorded with its candidate; a pickle, which runs code, is read only
where its bytes are those that were recorded, and the model still allows it.
"""

import ast
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Literal
from zipfile import ZIP_DEFLATED

from mlops_assets.errors import ContractError, told_once, words_of
from mlops_assets.features.python_functions import called
from mlops_assets.models.content import estimator_hash
from mlops_assets.project.definition import ModelDefinition
from mlops_assets.project.python_function import PythonFunction
from mlops_assets.templates import TEMPLATES, find_template

Form = Literal["skops", "cloudpickle"]
FILES: dict[Form, str] = {"skops": "model.skops", "cloudpickle": "model.pkl"}
"""The name of the file in each form."""

OF_THE_LIBRARY = tuple(sorted({name for template in TEMPLATES for name in template.trusted_types}))
"""Types beyond skops's own list that the library's fits hold."""


@dataclass(frozen=True)
class Trust:
    """What the file of a model's fit may hold.

    Args:
        types: Types beyond skops's own list.
        pickled: Classes of fits that may be kept as pickles.
        function: The own template whose classes are among the types; None of the library's.
        recipe: The hash of the template's recipe.
    """

    types: tuple[str, ...] = OF_THE_LIBRARY
    pickled: tuple[str, ...] = ()
    function: PythonFunction | None = None
    recipe: str = ""


LIBRARY = Trust()
"""What the fits of the library may hold, whichever template made them."""


@dataclass(frozen=True)
class FitFile:
    """How a fit was kept; recorded with its candidate.

    Args:
        form: ``skops`` or ``cloudpickle``.
        content: SHA-256 of a pickle, in hex; of a skops file, whose bytes hold addresses and times, the content hash
            of its fit. Empty of a skops file that an earlier release wrote.
        classes: Of a pickle the classes that skops does not hold; of a skops file the project's own classes in it.
        recipe: The hash of the template's recipe.
    """

    form: Form
    content: str
    classes: tuple[str, ...]
    recipe: str

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "FitFile":
        """From the values of its fields, as JSON has them."""
        return cls(**{**values, "classes": tuple(values["classes"])})


def trust_of(model: ModelDefinition) -> Trust:
    """What files of a model's fits may hold: what the library's do, and the classes of an own template's modules.

    An earlier version may be of another template than the present one.
    """
    choice = model.template
    if choice.function is None:
        return Trust(recipe=choice.definition_hash)
    function = choice.function
    return Trust((*OF_THE_LIBRARY, *own_classes(function)), choice.allow_pickle, function, choice.definition_hash)


def trust_to_write(model: ModelDefinition) -> Trust:
    """What a file of a fit that is made now may hold: of the library's templates, what this one needs."""
    choice, trust = model.template, trust_of(model)
    if choice.function is not None:
        return trust
    return replace(trust, types=find_template(choice.name, choice.version).trusted_types)


def own_classes(function: PythonFunction) -> tuple[str, ...]:
    """The classes that the modules of a function define at their top level, as ``MODULE.CLASS``."""
    return tuple(
        f"{module.name}.{node.name}"
        for module in function.modules
        for node in ast.parse(module.text).body
        if isinstance(node, ast.ClassDef)
    )


def write_fit(fit: Any, trust: Trust, named: str) -> tuple[FitFile, bytes, str]:
    """A fit as a file, in skops format wherever that holds it, and its content hash.

    Args:
        fit: The fitted estimator.
        trust: What the file may hold.
        named: What it is a fit of, for messages.

    Raises:
        ContractError: skops does not hold it, and the model does not allow a pickle of it, or a pickle of it is
            another fit when it is read.
    """
    with _own_modules(trust.function):
        written = _as_skops(fit, trust.types)
        strange = () if written else tuple(sorted(_strange(fit, trust.types)))
    if written:
        data, types = written
        own = tuple(sorted(types & set(own_classes(trust.function)))) if trust.function else ()
        content = estimator_hash(fit)
        return FitFile("skops", content, own, trust.recipe), data, content
    refused = [name for name in strange if name not in trust.pickled]
    if refused:
        raise ContractError(
            f"a fit of {named} with {', '.join(refused)}, which skops cannot hold",
            "an estimator of types that skops holds (scikit-learn's, and classes of the template's own modules)",
            f"compose it of such, or allow a pickle, which runs code when it is read: "
            f"template.allow_pickle: [{', '.join(strange)}]",
            where=trust.function.location if trust.function else None,
        )
    import cloudpickle

    # Outside of the block above, where the project's modules are not found, so that their classes go into the file.
    data, content = cloudpickle.dumps(fit, protocol=pickle.DEFAULT_PROTOCOL), estimator_hash(fit)
    if estimator_hash(pickle.loads(data)) != content:
        raise ContractError(
            f"a fit of {named} that has another content after it was kept as a pickle",
            "an estimator whose parameters and arrays are the same when it is read",
            "keep its state in attributes that are numbers, text, arrays or estimators",
        )
    return FitFile("cloudpickle", sha256(data).hexdigest(), strange, trust.recipe), data, content


def read_fit(data: bytes, form: str, trust: Trust, recorded: FitFile | None, content: str, named: str) -> Any:
    """The fit in a file; nothing of it runs before it was seen to be allowed.

    Args:
        data: The file.
        form: The form that it says it has.
        trust: What it may hold.
        recorded: What was recorded of it, or None.
        content: The content hash that was recorded of its fit; empty where none was.
        named: What it is called in messages.

    Raises:
        ContractError: It holds what may not be read, or not what was recorded.
    """
    cure = "restore MLflow's files from a backup, or train again"
    wanted = recorded.form if recorded is not None else "skops"
    if form != wanted:
        why = "which runs no code of the model's when it is loaded, or a pickle that was recorded when it was trained"
        raise ContractError(
            f"{named} in format '{form}'",
            f"format '{wanted}', {why if recorded is None else 'in which it was logged'}",
            "log it again through the platform" if recorded is None else cure,
        )
    refused = _refusal(trust, recorded, named)
    if refused is not None:
        raise refused
    if recorded is not None and form == "cloudpickle":
        found = sha256(data).hexdigest()
        if found != recorded.content:
            raise ContractError(
                f"{named} as a pickle with the hash {found[:16]}…; it was not read",
                f"{recorded.content[:16]}…, which was recorded when it was trained",
                f"{cure}; find out who changed them",
            )
    own = recorded.classes if recorded is not None else ()
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    def refusal(error: BaseException) -> ContractError:
        strange = isinstance(error, UntrustedTypesFoundException)
        found = f"with types that nobody trusts ({error})" if strange else f"which cannot be read ({words_of(error)})"
        return ContractError(f"{named}{' ' if strange else ', '}{found}", "a fit as it was logged", cure)

    with _own_modules(trust.function if own and form == "skops" else None):
        with told_once(refusal):  # what a damaged file says of itself may raise anything
            fit = skops.io.loads(data, trusted=list(trust.types)) if form == "skops" else pickle.loads(data)
        return _as_recorded(fit, content, named, cure)


def _as_recorded(fit: Any, content: str, named: str, cure: str) -> Any:
    """A fit that was read, after seeing that it is the one that was recorded: a tenth of what reading it takes."""
    found = estimator_hash(fit) if content else content
    if found != content:
        raise ContractError(
            f"{named} with a fit of the hash {found[:16]}…; it is not used",
            f"{content[:16]}…, which was recorded when it was trained",
            f"{cure}; find out who changed them",
        )
    return fit


def is_allowed(trust: Trust, recorded: FitFile | None) -> bool:
    """Whether a fit may still be read: its pickle is allowed, and the project's classes in it are as they were."""
    return _refusal(trust, recorded, "") is None


def _refusal(trust: Trust, recorded: FitFile | None, named: str) -> ContractError | None:
    """Why a fit may not be read by what its model says now; None where it may."""
    if recorded is None:
        return None
    refused = [name for name in recorded.classes if name not in trust.pickled]
    if recorded.form == "cloudpickle" and refused:
        return ContractError(
            f"{named} as a pickle of {', '.join(refused)}, which the model does not allow now",
            f"template.allow_pickle with {', '.join(recorded.classes)}",
            "allow it again, or train without",
        )
    if recorded.form == "skops" and recorded.classes and recorded.recipe != trust.recipe:
        return ContractError(
            f"{named} with {', '.join(recorded.classes)} of the recipe {recorded.recipe[:8]}, which is "
            f"{trust.recipe[:8]} now",
            "the classes that it was trained with",
            "take the change of the template back, or train again",
        )
    return None


@contextmanager
def _own_modules(function: PythonFunction | None) -> Iterator[None]:
    """Let the modules of an own template be imported inside the block."""
    if function is None:
        yield
        return
    with called(function, "modules whose classes skops can hold"):
        yield


def _as_skops(fit: Any, types: Sequence[str]) -> tuple[bytes, set[str]] | None:
    """A fit in skops format, and which types beyond skops's own list it holds; None where it holds others."""
    import skops.io

    try:
        data = skops.io.dumps(fit, compression=ZIP_DEFLATED)  # most of it is JSON: a quarter is left
        found = set(skops.io.get_untrusted_types(data=data))
    except Exception:  # noqa: BLE001  # a user's estimator may raise anything
        return None
    return (data, found) if found <= set(types) else None


def _strange(fit: Any, types: Sequence[str]) -> set[str]:
    """The classes of the smallest estimators in a fit that skops cannot hold."""
    inner = {name for part in _estimators(vars(fit)) if not _as_skops(part, types) for name in _strange(part, types)}
    return inner or {f"{type(fit).__module__}.{type(fit).__qualname__}"}


def _estimators(value: Any) -> Iterator[Any]:
    """The estimators in a value, not those in them."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _estimators(item)
    elif hasattr(value, "get_params") and not isinstance(value, type):
        yield value
