"""What a logged fit needs, exactly: the installed versions of the distributions that it rests on."""

import ast
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution, packages_distributions, version

from mlops_assets.project.python_function import PythonFunction

FOR_MLFLOW = "mlflow"
"""It comes first, as MLflow puts it; its own requirements are not a fit's."""
ALWAYS = ("scikit-learn", "skops", "pandas")


def requirements(function: PythonFunction | None = None, *further: str) -> tuple[str, ...]:
    """The requirements of a fit, as ``NAME==VERSION``: what it needs, and all that needs in turn.

    Args:
        function: The own template that made it; what its modules import is needed, too.
        *further: Names of distributions that are needed beside.
    """
    return _pinned(tuple(_imported(function)) if function else (), further)


@lru_cache(maxsize=32)
def _pinned(modules: tuple[str, ...], further: tuple[str, ...]) -> tuple[str, ...]:
    by_module = packages_distributions() if modules else {}
    found: dict[str, None] = {}
    waiting = [*ALWAYS, *further, *(name for module in modules for name in by_module.get(module, ()))]
    while waiting:
        name = _canonical(waiting.pop(0))
        if name in found or name == "mlops-assets":
            continue
        found[name] = None
        waiting += _required(name)
    return (f"{FOR_MLFLOW}=={version(FOR_MLFLOW)}", *sorted(f"{name}=={version(name)}" for name in found))


def _required(name: str) -> Iterator[str]:
    """What a distribution requires without any extra, as far as it is installed."""
    for text in distribution(name).requires or ():
        required, _, condition = text.partition(";")
        of = re.split(r"[^A-Za-z0-9._-]", required.strip(), maxsplit=1)[0]
        if "extra" not in condition and _is_installed(of):
            yield of


def _is_installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def _canonical(name: str) -> str:
    """A distribution's name as all write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _imported(function: PythonFunction) -> Sequence[str]:
    """The first part of each module that the modules of a function import."""
    names = set()
    for node in (node for module in function.modules for node in ast.walk(ast.parse(module.text))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return sorted(names)
