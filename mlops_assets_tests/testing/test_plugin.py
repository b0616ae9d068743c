"""The plugin: pytest loads it with every run on the machine, so it costs nothing until a test asks for a fixture."""

import subprocess
import sys


def test_loading_it_imports_nothing_of_the_platform_but_itself() -> None:
    code = "import sys, mlops_assets.pytest_plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert {name for name in loaded if name.startswith("mlops_assets")} == {
        "mlops_assets",
        "mlops_assets.pytest_plugin",
    }
    assert not {"numpy", "pyarrow", "pandas", "pydantic", "dagster", "mlflow"} & set(loaded)
