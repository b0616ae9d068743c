"""Who may do what: roles are named sets of scopes, the same in the command line, over HTTP and in pages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from mlops_assets.errors import ForbiddenError
from mlops_assets.lakehouse.schema import Column

Scope = Literal["features:read", "features:read_personal", "sources:push", "predict", "models:approve", "administer"]

SCOPES: tuple[Scope, ...] = get_args(Scope)
"""All scopes there are."""

ROLES: Mapping[str, frozenset[Scope]] = MappingProxyType(
    {
        "reader": frozenset({"features:read"}),
        "application": frozenset({"features:read", "sources:push", "predict"}),
        "data_scientist": frozenset({"features:read", "features:read_personal", "predict"}),
        "approver": frozenset({"features:read", "models:approve"}),
        "administrator": frozenset(SCOPES),
    }
)
"""The roles that every project has; its own are beside them, in ``[tool.mlops_assets.roles]``."""


@dataclass(frozen=True)
class Principal:
    """Somebody or something that asks, and what it may do.

    Args:
        name: The name of its token, or what it is called without one.
        roles: The roles that its token carries.
        scopes: What these roles allow.
    """

    name: str
    roles: tuple[str, ...]
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        """Whether it has a scope."""
        return scope in self.scopes

    def require(self, scope: Scope, roles: Mapping[str, Iterable[Scope]] = ROLES) -> None:
        """See that it has a scope.

        Args:
            scope: What is needed.
            roles: The roles there are, for the message.

        Raises:
            ForbiddenError: It does not.
        """
        if self.may(scope):
            return
        having = ", ".join(name for name, scopes in roles.items() if scope in scopes)
        raise ForbiddenError(
            f"'{self.name}' without the scope {scope}",
            f"a token of a role with this scope: {having}",
            "ask an administrator for such a token (mlops-assets tokens create)",
        )


ANONYMOUS = Principal("anonymous", (), frozenset())
"""Who shows no token: may do nothing."""

AT_THE_MACHINE = Principal("person at the machine", (), frozenset({"features:read"}))
"""Who uses the command line without a token: may read what is not personal."""


def visible(principal: Principal, column: Column) -> bool:
    """Whether somebody may see the values of a column: personal ones need a scope of their own."""
    return not column.is_personal or principal.may("features:read_personal")
