"""A webhook that tells of incidents: signed JSON, in order, tried again under one id until it is taken.

``MLOPS_WEBHOOK_URL`` says where, ``MLOPS_WEBHOOK_SECRET`` signs, and ``MLOPS_WEBHOOK_FORM`` says how: ``json`` for
programs, ``slack`` for Slack's incoming webhooks, ``teams`` for a workflow of Teams that takes adaptive cards. A
receiver computes HMAC-SHA256 (RFC 2104) of the moment, a dot and the body as they came, and compares it with the
signature. One that sees an id again has been told already: it was taken, and the answer was lost.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, get_args

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.content_hash import text_hash
from mlops_assets.lakehouse.records import read_records, write_record
from mlops_assets.monitoring.incidents import TOLD, Incident, IncidentEvent, incident_events, incidents_of
from mlops_assets.platform import Platform

Form = Literal["json", "slack", "teams"]

SECONDS = 5
"""A receiver that takes longer to answer has not taken it."""

FIRST_WAIT, MAX_WAIT = timedelta(seconds=30), timedelta(hours=1)
"""From one attempt to the next, twice as long each time."""


@dataclass(frozen=True)
class Webhook:
    """Where incidents are told of.

    Args:
        url: Where.
        secret: Signs; never shown.
        form: What the receiver takes.
    """

    url: str
    secret: str
    form: Form = "json"

    def __repr__(self) -> str:
        """Without the secret, and without the address, which of Slack and Teams is one."""
        return f"Webhook({self.form})"


@dataclass(frozen=True)
class Notice:
    """What became of telling of an event.

    Args:
        event: The event's number.
        attempts: How often it was tried.
        tried_at: When last, platform clock, UTC.
        taken: Whether the receiver took it.
        answer: What was answered last, in words.
    """

    event: int
    attempts: int
    tried_at: datetime
    taken: bool
    answer: str

    @property
    def again_at(self) -> datetime:
        """From when on it is tried again."""
        return self.tried_at + min(FIRST_WAIT * 2.0 ** min(self.attempts - 1, 20), MAX_WAIT)


def webhook_of(environment: Mapping[str, str]) -> Webhook | None:
    """The webhook that the environment names; None where it names none.

    Raises:
        DefinitionError: It lacks a secret, or its address or form is none.
    """
    url, secret = environment.get("MLOPS_WEBHOOK_URL", ""), environment.get("MLOPS_WEBHOOK_SECRET", "")
    form = environment.get("MLOPS_WEBHOOK_FORM", "json")
    if not url:
        return None
    if not url.startswith(("http://", "https://")):
        raise DefinitionError("MLOPS_WEBHOOK_URL that is no address of the web", "http:// or https://", "correct it")
    if not secret:
        cure = "set it, and give the receiver the same"
        raise DefinitionError(
            "MLOPS_WEBHOOK_URL without MLOPS_WEBHOOK_SECRET", "a secret that signs what is sent", cure
        )
    if form not in get_args(Form):
        forms = ", ".join(get_args(Form))
        raise DefinitionError(f"MLOPS_WEBHOOK_FORM={form}", f"one of: {forms}", "correct it, or leave it out for json")
    return Webhook(url, secret, form)  # type: ignore[arg-type]


def untold(platform: Platform) -> list[tuple[IncidentEvent, Notice | None]]:
    """The events that nobody took yet, in their order, each with what became of the attempts so far."""
    notices = {notice.event: notice for notice in read_records(platform.notices, Notice)}
    told = [event for event in incident_events(platform) if event.live and event.event in TOLD]
    return [(event, found) for event in told if not ((found := notices.get(event.number)) and found.taken)]


def tell(platform: Platform, webhook: Webhook) -> list[Notice]:
    """Tell of the events that nobody took yet, in their order; the first that is not taken keeps the others waiting.

    Returns:
        What became of each that was tried.
    """
    waiting, tried = untold(platform), []
    incidents = {one.number: one for one in incidents_of(incident_events(platform))} if waiting else {}
    for event, before in waiting:
        now = platform.clock.now()
        if before and now < before.again_at:
            break
        taken, answer = _send(webhook, event, incidents[event.incident], now)
        notice = Notice(event.number, (before.attempts if before else 0) + 1, now, taken, answer)
        write_record(platform.notices, notice)
        tried.append(notice)
        if not taken:
            break
    return tried


def delivery_id(event: IncidentEvent) -> str:
    """The same for each attempt to tell of an event, and for no other of any home that is likely to be met."""
    return text_hash(str(event.number), event.happened_at.isoformat(), *event.key)[:32]


def signature(secret: str, moment: str, body: bytes) -> str:
    """What a receiver compares with the header ``X-MLOps-Signature``.

    Example:
        >>> signature("a secret", "2001-01-05T00:00:00+00:00", b"{}")[:15]
        'sha256=b4669bb9'
    """
    return "sha256=" + hmac.new(secret.encode(), moment.encode() + b"." + body, "sha256").hexdigest()


def message(form: Form, event: IncidentEvent, incident: Incident) -> dict[str, Any]:
    """What a receiver is sent of an event."""
    text = f"{event.event}: incident {incident.number}, {incident.name}: {event.words}"
    if form == "slack":
        return {"text": text}
    if form == "teams":
        block = {"type": "TextBlock", "text": text, "wrap": True}
        card = {"type": "AdaptiveCard", "version": "1.4", "body": [block]}
        return {
            "type": "message",
            "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
        }
    told = {
        "number": incident.number,
        "kind": incident.kind,
        "subject": incident.subject,
        "part": incident.part,
        "opened_at": incident.opened_at.isoformat(),
        "closed_at": incident.closed_at.isoformat() if incident.closed_at else None,
        "former": incident.former,
    }
    moment = event.happened_at.isoformat()
    return {"text": text, "event": event.event, "happened_at": moment, "words": event.words, "incident": told}


def _send(webhook: Webhook, event: IncidentEvent, incident: Incident, now: datetime) -> tuple[bool, str]:
    """Whether a receiver took an event, and what it answered; its address is in no words."""
    import urllib3

    body, moment = json.dumps(message(webhook.form, event, incident), sort_keys=True).encode(), now.isoformat()
    headers = {
        "Content-Type": "application/json",
        "X-MLOps-Delivery": delivery_id(event),
        "X-MLOps-Moment": moment,
        "X-MLOps-Signature": signature(webhook.secret, moment, body),
    }
    limits: Any = {"retries": False, "redirect": False, "timeout": urllib3.Timeout(total=SECONDS)}
    try:
        with urllib3.PoolManager() as pool:
            answer = pool.request("POST", webhook.url, body=body, headers=headers, **limits)
    except (urllib3.exceptions.HTTPError, ValueError) as error:
        slow = isinstance(error, urllib3.exceptions.TimeoutError)
        if slow and not isinstance(error, urllib3.exceptions.NewConnectionError):  # which counts as a timeout there
            return False, f"no answer within {SECONDS} s"
        return False, f"no connection ({type(error).__name__})"
    return 200 <= answer.status < 300, f"answered with {answer.status}"
