"""What roles allow, and who may see which column."""

import pytest

from mlops_assets.errors import ForbiddenError
from mlops_assets.governance.access import ANONYMOUS, AT_THE_MACHINE, ROLES, SCOPES, Principal, visible
from mlops_assets.lakehouse.schema import Column, Sensitivity


def of_role(role: str) -> Principal:
    return Principal(role, (role,), ROLES[role])


def test_who_shows_no_token_may_do_nothing_and_who_sits_at_the_machine_may_read() -> None:
    assert not any(ANONYMOUS.may(scope) for scope in SCOPES)
    assert [scope for scope in SCOPES if AT_THE_MACHINE.may(scope)] == ["features:read"]


def test_an_administrator_may_do_everything_and_only_an_administrator_may_administer() -> None:
    assert of_role("administrator").scopes == set(SCOPES)
    assert [role for role in ROLES if of_role(role).may("administer")] == ["administrator"]
    assert [role for role in ROLES if of_role(role).may("sources:push")] == ["application", "administrator"]


@pytest.mark.parametrize(
    ("principal", "sensitivity", "seen"),
    [
        (AT_THE_MACHINE, "public", True),
        (AT_THE_MACHINE, "internal", True),
        (AT_THE_MACHINE, "personal", False),
        (of_role("application"), "personal", False),
        (of_role("data_scientist"), "personal", True),
    ],
)
def test_personal_columns_are_seen_with_a_scope_of_their_own(
    principal: Principal, sensitivity: Sensitivity, seen: bool
) -> None:
    assert visible(principal, Column("born", "date", sensitivity=sensitivity)) is seen


def test_a_missing_scope_is_refused_with_the_roles_that_have_it() -> None:
    of_role("approver").require("models:approve")
    with pytest.raises(ForbiddenError) as refused:
        of_role("reader").require("models:approve")
    assert str(refused.value) == (
        "Found: 'reader' without the scope models:approve. Expected: a token of a role with this scope: approver, "
        "administrator. What to do: ask an administrator for such a token (mlops-assets tokens create)."
    )
