"""Which online store a project uses: by URL from the environment, or an SQLite file in the home."""

import os
from pathlib import Path

from mlops_assets.errors import UnusableEnvironmentError
from mlops_assets.features.online.contract import OnlineStore
from mlops_assets.features.online.redis import RedisStore
from mlops_assets.features.online.sqlite import SqliteStore
from mlops_assets.platform import Platform

STORE_VARIABLE = "MLOPS_ONLINE_STORE"
FILE = "online.sqlite"


def open_store(platform: Platform) -> OnlineStore:
    """The store that the environment names, or else the file in the home; it may be down.

    Raises:
        UnusableEnvironmentError: The URL is of no store that there is, or the package redis is not installed.
    """
    url = os.environ.get(STORE_VARIABLE, "").strip()
    if not url:
        return SqliteStore(platform.home.folder / FILE)
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return SqliteStore(Path(rest[1:] if rest.startswith("//") else rest))
    if scheme in ("redis", "rediss"):
        try:
            return RedisStore(url, platform.project.name)
        except ModuleNotFoundError as error:
            raise UnusableEnvironmentError(
                f"{STORE_VARIABLE} with a URL of {scheme}, and no package redis",
                "the package installed",
                "run pip install 'mlops-assets[redis]'",
            ) from error
        except ValueError:
            pass  # its words may hold the password
    raise UnusableEnvironmentError(
        f"{STORE_VARIABLE} with no URL of a store",
        "redis://HOST:PORT/NUMBER, rediss://… or sqlite:///PATH",
        "correct it (a password is percent-encoded), or unset it for a file in the home",
    ) from None
