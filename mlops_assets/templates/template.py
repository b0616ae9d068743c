"""What a template is, and the hash of its recipe: a changed recipe under an unchanged version is found by it."""

import ast
import functools
import hashlib
import inspect
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType, FunctionType
from typing import Any, Literal

from mlops_assets.errors import DefinitionError, nearest

Build = Callable[[Mapping[str, Any], Sequence[str], Sequence[str], int], Any]
Kind = Literal["number", "category"]


@dataclass(frozen=True)
class Template:
    """A recipe; a changed recipe is a new version, so that an old model can be made again.

    Args:
        name: What a user calls it.
        version: Counts from 1.
        tasks: What kinds of prediction it makes, as a model's ``task`` names them.
        parameters: The parameters that it takes, with their defaults.
        build: Makes an unfitted estimator from parameters, categories, numbers and a seed.
        trusted_types: Types beyond skops's own list that its model files hold.
        rounds: The parameter that counts boosting rounds, which early stopping sets; None where there are none.
        columns: The parameters that name a feature, with the kind of feature; they have no default.
    """

    name: str
    version: int
    tasks: tuple[str, ...]
    parameters: Mapping[str, Any]
    build: Build
    trusted_types: tuple[str, ...]
    rounds: str | None = None
    columns: Mapping[str, Kind] = field(default_factory=dict)

    @property
    def takes(self) -> tuple[str, ...]:
        """The names of all parameters."""
        return (*self.columns, *self.parameters)

    @property
    def definition_hash(self) -> str:
        """SHA-256 of the recipe in canonical source, and of its defaults; 64 hexadecimal digits.

        Every candidate records it, and is made again only under the same: how it is made never changes.
        """
        return _definition_hash(self.build, repr(sorted(self.parameters.items())), self.rounds)


def check_parameters(template: Template, params: Mapping[str, Any]) -> None:
    """See that a template takes all parameters, and is given those that have no default.

    Raises:
        DefinitionError: It does not, or is not.
    """
    unknown = sorted(set(params) - set(template.takes))
    if unknown:
        raise DefinitionError(
            f"parameter {', '.join(unknown)} of template '{template.name}'",
            f"among: {', '.join(template.takes)}",
            nearest(unknown[0], template.takes, "correct the name, or leave it out"),
        )
    for name, kind in template.columns.items():
        if name not in params:
            raise DefinitionError(
                f"template '{template.name}' without the parameter {name}",
                f"{name}: the name of a feature that is a {kind}",
                "add it to params",
            )


def build_estimator(
    template: Template,
    params: Mapping[str, Any],
    *,
    categories: Sequence[str],
    numbers: Sequence[str],
    seed: int,
) -> Any:
    """An unfitted estimator that takes a pandas frame and uses the columns named.

    Nulls and categories that were not seen in training are taken as missing, never refused. A number among those
    named needs at least one value in training.

    Raises:
        DefinitionError: The template does not take a parameter.
    """
    check_parameters(template, params)
    return template.build({**template.parameters, **params}, categories, numbers, seed)


def require_valid(estimator: Any) -> None:
    """Have each part of an estimator say what it takes no parameters for; scikit-learn's do so at their fit only."""
    parts = estimator.get_params().values() if hasattr(estimator, "get_params") else ()
    for part in (estimator, *parts):
        if hasattr(part, "_validate_params") and not isinstance(part, type):
            part._validate_params()


@functools.lru_cache(maxsize=64)
def _definition_hash(build: Build, defaults: str, rounds: str | None) -> str:
    digest = hashlib.sha256()
    for part in (*_recipe(build, set()), defaults, rounds or ""):
        digest.update(len(part.encode()).to_bytes(8, "big") + part.encode())
    return digest.hexdigest()


def _recipe(value: Any, seen: set[str]) -> Iterator[str]:
    """The canonical source of a function and, once each, of the functions of this package that it calls."""
    if isinstance(value, functools.partial):
        yield repr((value.args, sorted(value.keywords.items())))
        yield from _recipe(value.func, seen)
    elif isinstance(value, FunctionType) and value.__qualname__ not in seen:
        seen.add(value.__qualname__)
        yield _canonical(textwrap.dedent(inspect.getsource(value)))
        package = __name__.rpartition(".")[0]
        for name in sorted(_names(value.__code__)):
            used = value.__globals__.get(name)
            if isinstance(used, FunctionType) and used.__module__.startswith(package):
                yield from _recipe(used, seen)
            elif isinstance(used, str | int | float | tuple):
                yield f"{name} = {used!r}"


def _names(code: CodeType) -> set[str]:
    inner = [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    return {*code.co_names, *(name for part in inner for name in _names(part))}


def _canonical(source: str) -> str:
    """Source as Python writes it: layout, comments and docstrings change nothing in it."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node, clean=False) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)
