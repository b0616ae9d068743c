"""Tests of a project's own monitoring with pytest: what is done to rows, and what monitoring must say of it."""

from mlops_assets.testing.assertions import (
    assert_detection_delay,
    assert_detects_drift,
    assert_false_alarm_rate,
    assert_no_leakage,
    assert_quiet_on_benign,
)
from mlops_assets.testing.injectors import (
    Injector,
    concept_change,
    covariate_shift,
    duplicated_rows,
    label_shift,
    late_rows,
    new_level,
    nulls,
    unit_change,
    within,
)
from mlops_assets.testing.monitored import Monitored
from mlops_assets.testing.synthetic import SyntheticPeriods

__all__ = [
    "Injector",
    "Monitored",
    "SyntheticPeriods",
    "assert_detection_delay",
    "assert_detects_drift",
    "assert_false_alarm_rate",
    "assert_no_leakage",
    "assert_quiet_on_benign",
    "concept_change",
    "covariate_shift",
    "duplicated_rows",
    "label_shift",
    "late_rows",
    "new_level",
    "nulls",
    "unit_change",
    "within",
]
