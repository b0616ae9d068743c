"""The catalog of a running platform: searched many times, and told anew how fresh its tables are."""

import time
from collections.abc import Mapping
from functools import cached_property
from threading import Lock

from mlops_assets.features.catalog.entries import Catalog, catalog
from mlops_assets.features.catalog.search import CatalogIndex
from mlops_assets.features.catalog.statistics import freshness_of_all
from mlops_assets.platform import Platform

KEPT_SECONDS = 5.0
"""For how long the freshness of all tables is taken as it is: finding it out reads every table's log."""


class CurrentCatalog:
    """The catalog with the freshness of its tables; safe to use from several threads.

    Args:
        platform: The project in its home.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._lock = Lock()
        self._looked_at = float("-inf")
        self._freshness: Mapping[str, str] = {}
        self._index: CatalogIndex | None = None

    @cached_property
    def catalog(self) -> Catalog:
        """What there is to find, by the definitions."""
        return catalog(self._platform.project)

    def freshness(self) -> Mapping[str, str]:
        """``fresh``, ``late`` or ``never`` by table, as of the last seconds."""
        return self._looked()[0]

    def index(self) -> CatalogIndex:
        """What to search; built anew once a table's freshness changed."""
        return self._looked()[1]

    def _looked(self) -> tuple[Mapping[str, str], CatalogIndex]:
        with self._lock:
            now = time.monotonic()
            if self._index is None or now - self._looked_at >= KEPT_SECONDS:
                found = freshness_of_all(self._platform)
                if self._index is None or found != self._freshness:
                    self._freshness, self._index = found, CatalogIndex(self.catalog, found)
                self._looked_at = now
            return self._freshness, self._index
