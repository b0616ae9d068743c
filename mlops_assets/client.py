"""The client of a platform's server: features and predictions now, rows pushed into a source, versions of models.

It needs nothing of the platform but this module: no Dagster, no pandas, no engine.
"""

import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit

from mlops_assets.errors import AnswerError, DefinitionError

if TYPE_CHECKING:
    import urllib3

__all__ = [
    "AnswerError", "Client", "Comparison", "Decision", "Features", "FoundRow", "GateOutcome", "Model", "Prediction",
    "Predictions", "Row", "Version",
]  # fmt: skip

TOKEN_VARIABLE = "MLOPS_TOKEN"
MAX_WAIT_SECONDS = 60
SECONDS_TO_DECIDE = 60.0
"""A decision reads a fit and asks MLflow, which takes its time."""


@dataclass(frozen=True)
class FoundRow:
    """The row of a table that answered.

    Args:
        event_time: Its event_time, UTC; None in a static table.
        age: How long ago that was, on the platform's clock; None in a static table.
    """

    event_time: datetime | None
    age: timedelta | None


@dataclass(frozen=True)
class Row:
    """The answer to one row that was asked.

    Args:
        features: Values by name, null as None. A date is a text such as ``2024-01-31``, a timestamp one such as
            ``2024-01-31T06:00:00Z``.
        found: By table the row that answered; None where the table has none for the key.
    """

    features: Mapping[str, Any]
    found: Mapping[str, FoundRow | None]


@dataclass(frozen=True)
class Features:
    """An answer.

    Args:
        now: The platform's clock when it was given, UTC.
        rows: An answer for each row that was asked, in their order.
        masked: Features that are null because the token may not read personal columns.
    """

    now: datetime
    rows: tuple[Row, ...]
    masked: tuple[str, ...]


@dataclass(frozen=True)
class Prediction:
    """The answer to one row that was asked.

    Args:
        prediction: A number; or the likelier class (a boolean, or one of several texts).
        probabilities: Of each class; of a model that says whether something is so, of True and False; else empty.
        found: By table the row that answered; empty where features were given.
        lower: Lower end of the interval around a number; None where the version has none.
        upper: Upper end of it.
    """

    prediction: float | bool | str | None
    probabilities: Mapping[str | bool, float]
    found: Mapping[str, FoundRow | None]
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Predictions:
    """An answer, all by one version.

    Args:
        now: The platform's clock when it was given, UTC.
        version: The version that predicted.
        promoted_at: When it was promoted, UTC.
        request_id: What the request is called in the inference table.
        rows: A prediction for each row that was asked, in their order.
    """

    now: datetime
    version: int
    promoted_at: datetime
    request_id: str
    rows: tuple[Prediction, ...]


@dataclass(frozen=True)
class Model:
    """A model and its versions.

    Args:
        model: Its name.
        champion: The version that serves; None for none, as of the others.
        previous: The version that served before it.
        challenger: The version that competes with it, or waits for approval.
        approval: ``required`` where a person approves a version before it serves, else ``automatic``.
        versions: How many there are.
    """

    model: str
    champion: int | None
    previous: int | None
    challenger: int | None
    approval: Literal["automatic", "required"]
    versions: int


@dataclass(frozen=True)
class GateOutcome:
    """What one gate said.

    Args:
        name: The gate; its asset check is called the same.
        passed: Whether the candidate may become a version, as far as this gate is asked.
        reason: Its reason in words.
        measured: What it measured, where that is a number; else None.
        limit: What that was held against.
    """

    name: str
    passed: bool
    reason: str
    measured: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class Decision:
    """What was decided about a version.

    Args:
        kind: ``approved``, ``rejected``, ``promotion``, ``rollback``, ``retirement`` or ``deletion``.
        at: When, on the platform's clock, UTC.
        by: Who or what decided it.
        reason: Why, in words.
    """

    kind: str
    at: datetime
    by: str
    reason: str


@dataclass(frozen=True)
class Comparison:
    """How a version did in the shadow of a champion, on the rows of all periods so far.

    Args:
        champion: The version that served.
        until: Key of the newest period that both predicted from and whose labels are known.
        periods: How many periods.
        rows: Rows that both predicted and that have a label.
        figures: All metrics that these rows define, by ``champion_…``, ``challenger_…`` and ``difference_…``
            (challenger minus champion).
        words: The same in one line, by the metric that the model is watched by.
    """

    champion: int
    until: str
    periods: int
    rows: int
    figures: Mapping[str, float]
    words: str


@dataclass(frozen=True)
class Version:
    """A version of a model.

    Args:
        version: Its number.
        state: What has become of it, such as ``champion`` or ``challenger``.
        trained_at: When it was trained, on the platform's clock, UTC.
        requested_by: Who asked for its training.
        gates: What each gate said.
        figures: Metrics by who predicted, and rows.
        model_hash: Content hash of the fit that serves.
        approvals: Who approved or rejected it.
        transitions: What became of it.
        comparison: The newest with the champion in whose shadow it scored; None where it never did.
    """

    version: int
    state: str
    trained_at: datetime
    requested_by: str
    gates: tuple[GateOutcome, ...]
    figures: Mapping[str, float]
    model_hash: str
    approvals: tuple[Decision, ...]
    transitions: tuple[Decision, ...]
    comparison: Comparison | None


class Client:
    """Talks to one server; keeps its connections, and may be used from several threads.

    What failed on the way, or was answered with 503 and a time to come back, is tried again; no other error is.

    Args:
        url: The server's address, such as ``http://127.0.0.1:8000``.
        token: The token to show; None for the one in ``MLOPS_TOKEN``.
        timeout_seconds: Longest time for one attempt.
        retries: How often a request is tried again.
        connections: How many connections are kept.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout_seconds: float = 5.0,
        retries: int = 3,
        connections: int = 10,
    ) -> None:
        import urllib3

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise DefinitionError(f"the address '{url}'", "one such as http://127.0.0.1:8000", "correct the address")
        self._url = url.rstrip("/")
        token = os.environ.get(TOKEN_VARIABLE) if token is None else token
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        self._pool = urllib3.PoolManager(
            maxsize=connections,
            timeout=urllib3.Timeout(total=timeout_seconds),
            retries=_retries()(
                retries, redirect=False, allowed_methods=None, raise_on_status=False,
                backoff_factor=0.1, backoff_jitter=0.1, backoff_max=2, retry_after_max=MAX_WAIT_SECONDS,
            ),
        )  # fmt: skip

    def features(
        self,
        rows: Sequence[Mapping[str, object]],
        *,
        lookups: Sequence[Mapping[str, object]] | None = None,
        model: str | None = None,
    ) -> Features:
        """Ask for features as they are now.

        Args:
            rows: For each answer the keys, and the values that come with a request; dates and times may be given as
                such.
            lookups: What to look up: mappings with ``table``, and if need be ``features``, ``lookup_key``,
                ``rename``, ``lookback`` and ``default``.
            model: Or the model whose features are wanted.

        Raises:
            AnswerError: The server refused, or did not answer.
        """
        asked: dict[str, object] = {"rows": rows}
        if lookups is not None:
            asked["lookups"] = lookups
        if model is not None:
            asked["model"] = model
        answer = self._post("/v1/features", asked)
        return Features(
            datetime.fromisoformat(answer["now"]),
            tuple(
                Row(one["features"], {table: _found(row) for table, row in one["found"].items()})
                for one in answer["rows"]
            ),
            tuple(answer["masked"]),
        )

    def predict(
        self,
        model: str,
        rows: Sequence[Mapping[str, object]] | None = None,
        *,
        features: Sequence[Mapping[str, object]] | None = None,
    ) -> Predictions:
        """Ask for predictions of the version that serves.

        Args:
            model: The model.
            rows: For each answer the keys, and the values that come with a request; their features are looked up as
                known now.
            features: Or for each answer every feature of the model by name, None where it is missing.

        Raises:
            AnswerError: The server refused, or did not answer.
        """
        asked = {name: given for name, given in (("rows", rows), ("features", features)) if given is not None}
        answer = self._post(f"{_of_model(model)}/predict", asked)
        return Predictions(
            datetime.fromisoformat(answer["now"]), answer["version"], datetime.fromisoformat(answer["promoted_at"]),
            answer["request_id"], tuple(_prediction(one) for one in answer["rows"]),
        )  # fmt: skip

    def push(
        self, source: str, rows: Sequence[Mapping[str, object]], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Push rows into a source; once it returns they are kept, and they count once however often they are sent.

        Args:
            source: The source.
            rows: Its columns by name.
            idempotency_key: Names this batch; None makes one for this call. Give your own where your application may
                call again after it was stopped.

        Returns:
            What the server says of the batch.

        Raises:
            AnswerError: The server refused, or did not answer.
        """
        key = idempotency_key or uuid.uuid4().hex
        path = f"/v1/sources/{quote(source, safe='')}/rows"
        answer: dict[str, Any] = self._post(path, {"rows": rows}, {"Idempotency-Key": key})
        return answer

    def models(self) -> tuple[Model, ...]:
        """All models of the project.

        Raises:
            AnswerError: The server refused, or did not answer.
        """
        return tuple(Model(**one) for one in self._ask("GET", "/v1/models"))

    def versions(self, model: str) -> tuple[Version, ...]:
        """The versions of a model, in the order of numbers.

        Raises:
            AnswerError: The server refused, or did not answer.
        """
        return tuple(_version(one) for one in self._ask("GET", f"{_of_model(model)}/versions"))

    def version(self, model: str, version: int) -> Version:
        """One version of a model.

        Raises:
            AnswerError: The server refused, or did not answer.
        """
        return _version(self._ask("GET", f"{_of_model(model)}/versions/{version}"))

    def approve(self, model: str, version: int, reason: str) -> Version:
        """Approve a version: it is the champion from now on; again without effect.

        Args:
            model: The model.
            version: The version.
            reason: Why, in words; it is recorded, with the name of the token.

        Returns:
            The version as it is then.

        Raises:
            AnswerError: The server refused, or did not answer; with status 409 something else was decided meanwhile.
        """
        return self._decide(f"{_of_model(model)}/versions/{version}/approve", {"reason": reason})

    def reject(self, model: str, version: int, reason: str) -> Version:
        """Reject a version: it waits no longer. Arguments, answer and errors are those of `approve`."""
        return self._decide(f"{_of_model(model)}/versions/{version}/reject", {"reason": reason})

    def retire(self, model: str, version: int, reason: str) -> Version:
        """Take a version out for good. Arguments, answer and errors are those of `approve`."""
        return self._decide(f"{_of_model(model)}/versions/{version}/retire", {"reason": reason})

    def rollback(self, model: str, reason: str, *, to: int | None = None) -> Version:
        """Let a version that served before serve again, from now on.

        Without ``to`` it is never tried again: a second call would go back further.

        Args:
            model: The model.
            reason: Why, in words; it is recorded, with the name of the token.
            to: Which version; None for the one that served before the champion.

        Returns:
            The version that serves now.

        Raises:
            AnswerError: The server refused, or did not answer; with status 409 something else was decided meanwhile.
        """
        path = f"{_of_model(model)}/rollback"
        if to is None:
            return self._decide(path, {"reason": reason}, retries=False)
        return self._decide(path, {"reason": reason, "to": to})

    def close(self) -> None:
        """Close the connections; the next request opens new ones."""
        self._pool.clear()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decide(self, path: str, content: object, **limits: Any) -> Version:
        return _version(self._post(path, content, timeout=SECONDS_TO_DECIDE, **limits))

    def _post(self, path: str, content: object, headers: Mapping[str, str] | None = None, **limits: Any) -> Any:
        try:
            body = json.dumps(content, default=_as_json, allow_nan=False).encode()
        except ValueError as error:
            raise DefinitionError(
                f"values that JSON does not have ({error})", "finite numbers, and no rows in themselves", "send None"
            ) from None
        return self._ask("POST", path, body=body, headers={**self._headers, **(headers or {})}, **limits)

    def _ask(self, method: str, path: str, **how: Any) -> Any:
        from urllib3.exceptions import HTTPError

        url = f"{self._url}{path}"
        try:
            answer = self._pool.request(method, url, redirect=False, **{"headers": self._headers, **how})
        except HTTPError as error:
            raise AnswerError(
                f"no answer from {self._url} ({getattr(error, 'reason', None) or error})",
                "a server that answers in time",
                "start it with `mlops-assets serve`, correct the address, or give it more time",
            ) from error
        return _content(answer, url)


def _of_model(model: str) -> str:
    return f"/v1/models/{quote(model, safe='')}"


def _content(answer: "urllib3.BaseHTTPResponse", url: str) -> Any:
    try:
        content = json.loads(answer.data)
    except ValueError:
        content = None
    if answer.status < 300 and content is not None:
        return content
    if isinstance(content, dict) and all(isinstance(content.get(part), str) for part in ("found", "expected", "cure")):
        raise AnswerError(content["found"], content["expected"], content["cure"], status=answer.status, problem=content)
    raise AnswerError(
        f"status {answer.status} from {url}, without a problem document",
        "an answer of this platform's server",
        "check that the address is the server's, and that no proxy answers in its place",
        status=answer.status,
    )


def _prediction(row: Mapping[str, Any]) -> Prediction:
    probabilities = dict(row.get("probabilities") or {})
    if (probability := row.get("probability")) is not None:
        probabilities = {True: probability, False: 1 - probability}
    found = {table: _found(one) for table, one in row["found"].items()}
    return Prediction(row["prediction"], probabilities, found, row.get("lower"), row.get("upper"))


def _version(content: Mapping[str, Any]) -> Version:
    def decisions(kept: str, kind: str, at: str) -> tuple[Decision, ...]:
        return tuple(
            Decision(one[kind], datetime.fromisoformat(one[at]), one["by"], one["reason"]) for one in content[kept]
        )

    return Version(
        content["version"], content["state"], datetime.fromisoformat(content["trained_at"]), content["requested_by"],
        tuple(GateOutcome(**one) for one in content["gates"]), content["figures"],
        content["model_hash"], decisions("approvals", "meaning", "at"), decisions("transitions", "kind", "happened_at"),
        Comparison(**compared) if (compared := content["comparison"]) else None,
    )  # fmt: skip


def _found(row: Mapping[str, Any] | None) -> FoundRow | None:
    if row is None:
        return None
    moment, age = row["event_time"], row["age_seconds"]
    return FoundRow(
        None if moment is None else datetime.fromisoformat(moment), None if age is None else timedelta(seconds=age)
    )


def _as_json(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if hasattr(value, "item"):  # a number of numpy
        return value.item()
    if isinstance(value, Decimal):
        return str(value)  # all its digits, which a number of JSON keeps only with some programs
    raise DefinitionError(
        f"a value of type {type(value).__name__}", "text, a number, a boolean, a date, a time, or None", "convert it"
    )


@cache
def _retries() -> type:
    import urllib3

    class OnlyWhereAskedToComeBack(urllib3.Retry):
        """Urllib3 also comes back to 413 and 429, which a second attempt does not mend."""

        RETRY_AFTER_STATUS_CODES = frozenset([503])

    return OnlyWhereAskedToComeBack
