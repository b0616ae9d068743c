"""The webhook: signed, in order, under one id until it is taken, by a receiver that fails, hangs and comes back."""

import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlops_assets.errors import DefinitionError
from mlops_assets.lakehouse.records import write_record
from mlops_assets.monitoring import webhook as module
from mlops_assets.monitoring.incidents import Cause, events_due, incident_events, incidents_of, record_what_is_off
from mlops_assets.monitoring.webhook import Notice, Webhook, message, tell, untold, webhook_of
from mlops_assets_tests.small_line import Line

NOW = datetime(2024, 1, 20, tzinfo=UTC)
DRIFT = Cause("drift", "forecast", "", "2024-01-19 drifted: level distance 9.1")
LATE = Cause("overdue", "visits", "", "2024-01-19: due 2024-01-20")
SECRET = "a secret of a test"


@dataclass
class Receiver:
    """A real server that answers as it is told, and keeps what came."""

    url: str = ""
    answers: list[Any] = field(default_factory=list)
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    hanging: threading.Event = field(default_factory=threading.Event)

    @property
    def taken(self) -> list[tuple[str, str]]:
        """Id and event of what came."""
        return [(headers["X-MLOps-Delivery"], json.loads(body)["event"]) for headers, body in self.came]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.came.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            answer = made.answers.pop(0) if made.answers else 200
            if answer == "closes":
                return
            if answer == "hangs":
                made.hanging.wait(30)
                return
            self.send_response(answer)
            self.send_header("Location", made.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *given: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/incidents"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield made
    made.hanging.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Line:
    """A line whose clock a test sets, and which is no replay."""
    made = Line(tmp_path / "line")
    made.platform.home.clock.set(NOW)
    monkeypatch.setattr(type(made.platform.home.clock), "stands", False)
    return made


@pytest.fixture
def hook(receiver: Receiver) -> Webhook:
    return Webhook(receiver.url, SECRET)


def off(line: Line, monkeypatch: pytest.MonkeyPatch, *causes: Cause, hours: float = 0) -> None:
    later(line, monkeypatch, hours)
    record_what_is_off(line.platform, causes)


def later(line: Line, monkeypatch: pytest.MonkeyPatch, hours: float) -> None:
    clock = type(line.platform.home.clock)
    now = line.platform.clock.now() + timedelta(hours=hours)
    monkeypatch.setattr(clock, "now", lambda self: now)


@pytest.fixture(autouse=True)
def at_first(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(line.platform.home.clock), "now", lambda self: NOW)


def test_opening_and_closing_are_told_once_in_order_and_signed(
    line: Line, receiver: Receiver, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    off(line, monkeypatch, DRIFT)
    off(line, monkeypatch, Cause("drift", "forecast", "", "further"), hours=1)
    off(line, monkeypatch, hours=1)
    assert [notice.answer for notice in tell(line.platform, hook)] == ["answered with 200"] * 2
    assert tell(line.platform, hook) == []
    assert [event for _, event in receiver.taken] == ["opened", "closed"]
    for headers, body in receiver.came:
        signed = hmac.new(SECRET.encode(), headers["X-MLOps-Moment"].encode() + b"." + body, "sha256").hexdigest()
        assert headers["X-MLOps-Signature"] == f"sha256={signed}"
    told = json.loads(receiver.came[1][1])
    assert told["text"] == "closed: incident 1, forecast: drift: over; it was: further"
    assert told["incident"] == {
        "number": 1, "kind": "drift", "subject": "forecast", "part": "", "former": None,
        "opened_at": "2024-01-20T00:00:00+00:00", "closed_at": "2024-01-20T02:00:00+00:00",
    }  # fmt: skip


def test_a_receiver_that_fails_hangs_closes_and_redirects_is_told_again_under_the_same_id_once_it_is_back(
    line: Line, receiver: Receiver, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS", 0.2)
    off(line, monkeypatch, DRIFT, LATE)
    receiver.answers = [500, "hangs", "closes", 307]
    answers = ["answered with 500", "no answer within 0.2 s", "no connection (ProtocolError)", "answered with 307"]
    for attempt, answer in enumerate(answers, 1):
        (notice,) = tell(line.platform, hook)
        assert (notice.event, notice.attempts, notice.taken, notice.answer) == (1, attempt, False, answer)
        assert tell(line.platform, hook) == [], "not before it has waited"
        later(line, monkeypatch, 1)
    assert [event.number for event, _ in untold(line.platform)] == [1, 2]
    assert [notice.taken for notice in tell(line.platform, hook)] == [True, True]
    ids = [name for name, _ in receiver.taken]
    assert len(ids) == 6
    assert len(set(ids[:5])) == 1 < len(set(ids))


def test_one_that_was_killed_before_it_kept_that_it_was_taken_tells_again_under_the_same_id(
    line: Line, receiver: Receiver, hook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    off(line, monkeypatch, DRIFT)

    def killed(*given: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(module, "write_record", killed)
        tell(line.platform, hook)
    assert [notice.taken for notice in tell(line.platform, hook)] == [True]
    first, again = receiver.taken
    assert first == again


def test_nobody_that_listens_is_tried_again_twice_as_long_after_each_time_up_to_an_hour() -> None:
    waits = [Notice(1, attempts, NOW, False, "").again_at - NOW for attempts in (1, 2, 3, 8, 500)]
    assert waits == [timedelta(seconds=seconds) for seconds in (30, 60, 120, 3600, 3600)]


def test_nothing_of_a_replay_is_told(line: Line, hook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(line.platform.home.clock), "stands", True)
    off(line, monkeypatch, DRIFT)
    assert len(incident_events(line.platform)) == 1
    assert tell(line.platform, hook) == []


def test_what_nobody_answers_at_is_kept_waiting(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    off(line, monkeypatch, DRIFT)
    (notice,) = tell(line.platform, Webhook("http://127.0.0.1:1/hook", SECRET))
    assert (notice.taken, notice.answer) == (False, "no connection (NewConnectionError)")


def test_a_notice_that_was_taken_is_never_tried_again(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    off(line, monkeypatch, DRIFT)
    write_record(line.platform.notices, Notice(1, 1, NOW, True, "answered with 200"))
    assert untold(line.platform) == []


def test_slack_is_sent_text_and_teams_a_card() -> None:
    (event,) = events_due([DRIFT], [], NOW, live=True)
    (incident,) = incidents_of([event])
    text = "opened: incident 1, forecast: drift: 2024-01-19 drifted: level distance 9.1"
    assert message("slack", event, incident) == {"text": text}
    card = message("teams", event, incident)
    assert card["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["attachments"][0]["content"]["body"] == [{"type": "TextBlock", "text": text, "wrap": True}]


def test_the_environment_names_the_webhook_and_what_is_wrong_of_it_is_told_without_the_secret() -> None:
    url = {"MLOPS_WEBHOOK_URL": "https://hooks.example.com/a/b"}
    assert webhook_of({}) is None
    hook = webhook_of({**url, "MLOPS_WEBHOOK_SECRET": SECRET})
    assert hook == Webhook(url["MLOPS_WEBHOOK_URL"], SECRET)
    assert repr(hook) == "Webhook(json)"
    for wrong, words in (
        (url, "MLOPS_WEBHOOK_URL without MLOPS_WEBHOOK_SECRET"),
        ({"MLOPS_WEBHOOK_URL": "ftp://a", "MLOPS_WEBHOOK_SECRET": SECRET}, "that is no address of the web"),
        ({**url, "MLOPS_WEBHOOK_SECRET": SECRET, "MLOPS_WEBHOOK_FORM": "xml"}, "MLOPS_WEBHOOK_FORM=xml"),
    ):
        with pytest.raises(DefinitionError, match=words) as refused:
            webhook_of(wrong)
        assert SECRET not in str(refused.value)
