"""API tokens: who was given one, for which roles and how long; part of the evidence trail.

The file is only ever appended to, one event a line: a token was created, a token was revoked. Of a token it holds a
hash alone; a token is 256 random bits, so that the hash cannot be guessed from.
"""

import hashlib
import hmac
import ipaddress
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from mlops_assets.errors import (
    DefinitionError,
    ForbiddenError,
    MissingDataError,
    UnusableEnvironmentError,
    nearest,
    none_of,
)
from mlops_assets.governance.access import AT_THE_MACHINE, ROLES, Principal, Scope
from mlops_assets.governance.trail import Trail
from mlops_assets.lakehouse.periods import Duration, add_months, in_utc, parse_moment

TOKEN_VARIABLE = "MLOPS_TOKEN"
"""Environment variable with the token that the command line acts by."""

FIRST_NAME = "administrator"
"""What the token is called that a fresh machine is given."""

_PREFIX = "mlops_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@ -]{0,99}")
_ID_LENGTH = 16


@dataclass(frozen=True)
class TokenRecord:
    """What is known of one token; all moments on the platform clock, UTC.

    Args:
        id: The beginning of its hash; names it in logs, and tells nothing of the token.
        name: What it is called: who or what uses it.
        roles: What it may do, by role.
        created_at: When it was created.
        expires_at: From when it is no longer valid; None for never.
        revoked_at: When it was revoked; None if it was not.
        sha256: The token's hash.
    """

    id: str
    name: str
    roles: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    sha256: str = field(repr=False)

    def valid(self, now: datetime) -> bool:
        """Whether it opens anything; what was revoked does not, whatever the clock says."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class TokenStore:
    """The tokens of one home; safe to use from several processes and threads.

    Args:
        file: The file of events; made with the first.
        roles: The roles that tokens may carry: the platform's, and the project's own.
    """

    def __init__(self, file: Path, roles: Mapping[str, frozenset[Scope]] = ROLES) -> None:
        self.file = file
        self.roles = roles
        self._trail: Trail[TokenRecord] = Trail(file, "token", ("created", "revoked"), _apply)

    def create(self, name: str, roles: tuple[str, ...], expires: datetime | None, now: datetime) -> str:
        """Make a token, and record that it is there.

        Args:
            name: Who or what uses it; no other valid token has this name.
            roles: What it may do, at least one.
            expires: From when it is no longer valid; None for never.
            now: The platform clock.

        Returns:
            The token. Nobody can be told it again.

        Raises:
            DefinitionError: The name or a role cannot be, a valid token has the name, or it would never be valid.
            UnusableEnvironmentError: The file cannot be written or read.
        """
        self._check(name, roles, expires, now)

        def refuse_second(records: Mapping[str, TokenRecord]) -> None:
            if any(record.name == name and record.valid(now) for record in records.values()):
                raise DefinitionError(
                    f"a second token '{name}'",
                    "one valid token for each name",
                    f"choose another name, or revoke the first: mlops-assets tokens revoke {name}",
                )

        return self._create(name, roles, expires, now, refuse_second)

    def create_first(self, name: str, roles: tuple[str, ...], now: datetime) -> str | None:
        """Make the first token there ever was, valid until it is revoked; None if there was one before."""
        self._check(name, roles, None, now)
        try:
            return self._create(name, roles, None, now, _refuse_any)
        except _NotTheFirstError:
            return None

    def revoke(self, id_or_name: str, now: datetime) -> TokenRecord:
        """Record that a token opens nothing from now on; again without effect, if it was revoked before.

        Args:
            id_or_name: Its id, or the name of the valid token that is called so, or else of the last one.
            now: The platform clock.

        Returns:
            The token's record, revoked.

        Raises:
            MissingDataError: There is no such token.
            UnusableEnvironmentError: The file cannot be written or read.
        """
        with self._trail.locked() as append:
            records = self.records()
            found = records.get(id_or_name)
            named = [record for record in records.values() if record.name == id_or_name]
            if found is None and named:
                found = next((record for record in named if record.valid(now)), named[-1])
            if found is None:
                known = dict.fromkeys(record.name for record in records.values())
                raise MissingDataError(
                    f"no token '{id_or_name}'",
                    f"the id or name of a token: {', '.join(known) or 'none was created'}",
                    nearest(id_or_name, known, "look with mlops-assets tokens list"),
                )
            if found.revoked_at is not None:
                return found
            append({"event": "revoked", "id": found.id, "at": now.isoformat()})
            return replace(found, revoked_at=now)

    def principal(self, token: str, now: datetime) -> Principal | None:
        """Who shows a token; None if it was never created, was revoked or has expired.

        What a role allows is what it allows in the project today. The file is read again only when it changed.
        """
        digest = _hash(token)
        record = self.records().get(digest[:_ID_LENGTH])
        if record is None or not hmac.compare_digest(record.sha256, digest) or not record.valid(now):
            return None
        scopes = frozenset().union(*(self.roles.get(role, frozenset()) for role in record.roles))
        return Principal(record.name, record.roles, scopes)

    def records(self) -> Mapping[str, TokenRecord]:
        """All tokens there ever were, by id, in the order of their creation.

        Raises:
            UnusableEnvironmentError: The file cannot be read.
        """
        return self._trail.records()

    def list(self, now: datetime) -> list[TokenRecord]:
        """The tokens, the valid ones first, each part in the order of creation."""
        return sorted(self.records().values(), key=lambda record: not record.valid(now))

    def _check(self, name: str, roles: tuple[str, ...], expires: datetime | None, now: datetime) -> None:
        if not _NAME.fullmatch(name):
            raise DefinitionError(
                f"a token named {name!r}",
                "a name of letters, digits, spaces and . _ @ -, up to 100, that begins with a letter or digit",
                "choose another name",
            )
        if not roles:
            raise DefinitionError("a token without a role", f"one of: {', '.join(self.roles)}", "name a role")
        for role in roles:
            if role not in self.roles:
                cure = "correct the role, or declare it in [tool.mlops_assets.roles]"
                raise none_of(f"role '{role}'", role, self.roles, cure)
        if expires is not None and expires <= now:
            raise DefinitionError(
                f"a token that expires at {expires.isoformat()}, when it is {now.isoformat()}",
                "a moment that is still to come",
                "let it expire later",
            )

    def _create(
        self,
        name: str,
        roles: tuple[str, ...],
        expires: datetime | None,
        now: datetime,
        refuse: Callable[[Mapping[str, TokenRecord]], None],
    ) -> str:
        with self._trail.locked() as append:
            refuse(self.records())
            token = _PREFIX + secrets.token_urlsafe(32)
            digest = _hash(token)
            append(
                {
                    "event": "created",
                    "id": digest[:_ID_LENGTH],
                    "name": name,
                    "roles": list(dict.fromkeys(roles)),
                    "sha256": digest,
                    "at": now.isoformat(),
                    "expires": expires.isoformat() if expires else None,
                }
            )
        return token


class _NotTheFirstError(Exception):
    """There was a token before."""


def _refuse_any(records: Mapping[str, TokenRecord]) -> None:
    if records:
        raise _NotTheFirstError


def expiry(text: str, now: datetime) -> datetime:
    """When something expires: so long after now (``90 days``), or at a moment (``2025-03-31``).

    Raises:
        DefinitionError: The text is neither.
    """
    try:
        length = Duration.parse(text)
    except DefinitionError as error:
        try:
            return parse_moment(text)
        except DefinitionError as other:
            raise DefinitionError(
                f"'{text}'", f"{error.expected}; or {other.expected}", "write, say, '90 days'"
            ) from None
    try:
        return add_months(now, length.months) + length.rest
    except (ValueError, OverflowError):
        raise DefinitionError(f"'{text}' from now", "a moment before the year 10000", "write less") from None


def first_token(store: TokenStore, now: datetime) -> str | None:
    """The token of an administrator for a machine on which none was ever created; None where one was."""
    return store.create_first(FIRST_NAME, ("administrator",), now)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; a name does not count, but for ``localhost``."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def require_tokens_for(host: str, store: TokenStore, now: datetime) -> None:
    """See that a server may listen on an address: beyond this machine only where somebody has a token.

    Args:
        host: The address; a name counts as beyond this machine, but for ``localhost``.
        store: The tokens.
        now: The platform clock.

    Raises:
        UnusableEnvironmentError: It would listen to other machines, and there is no valid token.
    """
    if is_loopback(host) or any(record.valid(now) for record in store.records().values()):
        return
    raise UnusableEnvironmentError(
        f"address '{host}', which other machines reach, and no valid token",
        "a token for whoever is to use the server, or an address of this machine alone such as 127.0.0.1",
        "create one: mlops-assets tokens create NAME --role ROLE",
    )


def principal_of_environment(store: TokenStore, environ: Mapping[str, str], now: datetime) -> Principal:
    """Who uses the command line: the owner of the token in ``MLOPS_TOKEN``, or the person at the machine.

    Raises:
        ForbiddenError: The token is not valid.
    """
    token = environ.get(TOKEN_VARIABLE)
    if not token:
        return AT_THE_MACHINE
    found = store.principal(token, now)
    if found is None:
        raise ForbiddenError(
            f"a token in {TOKEN_VARIABLE} that was never created here, was revoked or has expired",
            "a valid token, or none",
            f"set {TOKEN_VARIABLE} to a valid token (mlops-assets tokens list shows which are), or unset it",
        )
    return found


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "backslashreplace")).hexdigest()


def _apply(records: dict[str, TokenRecord], event: Mapping[str, Any]) -> None:
    if event["event"] == "created":
        records[event["id"]] = _created(event)
    else:
        moment = in_utc(datetime.fromisoformat(event["at"]))
        records[event["id"]] = replace(records[event["id"]], revoked_at=moment)


def _created(event: Mapping[str, Any]) -> TokenRecord:
    id_, name, sha256, roles, expires = (event[field] for field in ("id", "name", "sha256", "roles", "expires"))
    if not (isinstance(id_, str) and isinstance(name, str) and isinstance(sha256, str) and isinstance(roles, list)):
        raise TypeError
    return TokenRecord(
        id_,
        name,
        tuple(str(role) for role in roles),
        in_utc(datetime.fromisoformat(str(event["at"]))),
        in_utc(datetime.fromisoformat(str(expires))) if expires is not None else None,
        None,
        sha256,
    )
