"""Which roles a project has: the platform's, and its own in ``[tool.mlops_assets.roles]`` of its pyproject.toml."""

import re
from collections.abc import Mapping
from pathlib import Path

from mlops_assets.errors import DefinitionError, Location, nearest
from mlops_assets.governance.access import ROLES, SCOPES, Scope
from mlops_assets.project.text_files import project_settings

_NAME = re.compile(r"[a-z][a-z0-9_]*")


def read_roles(defs: Path) -> Mapping[str, frozenset[Scope]]:
    """The roles of the project whose definitions lie in a folder, by name.

    Args:
        defs: The folder ``defs``, in the project's package; without a pyproject.toml beside the package, the
            platform's roles alone.

    Raises:
        DefinitionError: A role is no list of scopes, names a scope that is none, or has the name of another.
    """
    settings = project_settings(defs)
    written = settings.written.get("roles", {})
    form = 'names with lists of scopes, such as nurse = ["features:read", "features:read_personal"]'
    if not isinstance(written, dict):
        raise DefinitionError(
            f"[tool.mlops_assets.roles] {written!r}", form, "correct the roles", where=settings.place("roles")
        )
    return dict(ROLES) | {name: _scopes(name, scopes, form, settings.place(name)) for name, scopes in written.items()}


def _scopes(name: str, scopes: object, form: str, where: Location) -> frozenset[Scope]:
    if name in ROLES:
        raise DefinitionError(
            f"role '{name}', which the platform has", "another name", "choose another name", where=where
        )
    if not _NAME.fullmatch(name):
        raise DefinitionError(
            f"role '{name}'", "a name of lower-case letters, digits and _", "choose another name", where=where
        )
    if not isinstance(scopes, list) or not scopes:
        raise DefinitionError(f"role '{name}' = {scopes!r}", form, "list its scopes", where=where)
    return frozenset(_scope(name, scope, where) for scope in scopes)


def _scope(role: str, written: object, where: Location) -> Scope:
    for scope in SCOPES:
        if scope == written:
            return scope
    raise DefinitionError(
        f"scope '{written}' of role '{role}' in [tool.mlops_assets.roles]",
        f"one of: {', '.join(SCOPES)}",
        nearest(str(written), SCOPES, "correct the scope"),
        where=where,
    )
