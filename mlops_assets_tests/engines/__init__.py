"""Tests of the engines."""

import pytest

pytest.register_assert_rewrite("mlops_assets_tests.engines.contract_pack")  # its failures then show both sides
