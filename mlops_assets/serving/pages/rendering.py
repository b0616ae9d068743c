"""Templates into pages: each is one text that needs no other file, and may do no more than it must.

All values are escaped by the templates. The policy that goes with each page allows the page's own style and script, by
their hashes, and nothing else: whatever a description smuggled in would not run.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from mlops_assets.features.lineage_drawing import STYLE as LINEAGE_STYLE
from mlops_assets.governance.access import Principal
from mlops_assets.lakehouse.masking import MASK

TEMPLATES = Path(__file__).parent / "templates"
DAGSTER_VARIABLE = "MLOPS_DAGSTER_URL"
DAGSTER_URL = "http://127.0.0.1:3000"
MLFLOW_VARIABLE = "MLOPS_MLFLOW_URL"


@dataclass(frozen=True)
class Frame:
    """For whom a page is made, and where it will be read.

    Args:
        principal: Who may see what; None of somebody who is not logged in.
        served: Whether it comes from the server, whose other pages it leads to; otherwise it is a file of its own.
        now: Platform clock, UTC; None where nothing on the page tells of data.
        dagster: Where Dagster's user interface is.
        mlflow: Where MLflow's is; None where there is none.
    """

    principal: Principal | None
    served: bool = True
    now: datetime | None = None
    dagster: str = DAGSTER_URL
    mlflow: str | None = None

    @classmethod
    def of(
        cls, principal: Principal | None, now: datetime, environ: Mapping[str, str], *, served: bool = True
    ) -> "Frame":
        """The frame of a page that leads where the environment says that user interfaces are."""
        dagster, mlflow = environ.get(DAGSTER_VARIABLE) or DAGSTER_URL, environ.get(MLFLOW_VARIABLE) or None
        return cls(principal, served, now, dagster, mlflow)

    @property
    def name(self) -> str | None:
        """What the page calls its reader."""
        return self.principal.name if self.principal else None


def render(template: str, frame: Frame, **values: Any) -> str:
    """A page from a template.

    Args:
        template: Its file, without the ending.
        frame: For whom, and where.
        values: What the template shows.
    """
    page: str = _environment().get_template(f"{template}.html").render(frame=frame, **values)
    return page


@lru_cache
def policy() -> str:
    """The Content-Security-Policy of every page."""
    styles = " ".join(map(_hash, (_file("style.css"), LINEAGE_STYLE)))
    return (
        f"default-src 'none'; style-src {styles}; script-src {_hash(_file('script.js'))}; img-src data:; "
        "form-action 'self'; base-uri 'none'"
    )


@lru_cache
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    from mlops_assets.serving.pages import words

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "style": Markup(_file("style.css")),
        "script": Markup(_file("script.js")),
        "policy": policy(),
        "MASK": MASK,
    }
    environment.filters |= {
        "marked": lambda text: Markup("").join(
            Markup("<mark>{}</mark>").format(part) if matched else Markup.escape(part)
            for part, matched in words.marked_parts(text)
        ),
        "coded": lambda text: Markup("").join(  # every second part stood between ``
            Markup("<code>{}</code>").format(part) if place % 2 else Markup.escape(part)
            for place, part in enumerate(re.split("``(.+?)``", text))
        ),
        "as_json": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
        "capitalize_first": lambda text: f"{text[:1].upper()}{text[1:]}",
        "number": words.number,
        "shown": words.value,
        "share": words.share,
        "moment": words.moment,
        "in_words": words.length,
        "counted": words.counted,
    }
    return environment


@lru_cache
def _file(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
