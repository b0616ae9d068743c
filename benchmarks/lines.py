"""The lines that a user writes for the example's second model, on features that are there."""

from pathlib import Path

from benchmarks import Figure

MODEL = Path(__file__).parent.parent / "mlops_assets" / "defs" / "scripts_fall"
MAX_LINES = 40


def lines() -> Figure:
    """Every line of every file of the classification model."""
    files = list(MODEL.iterdir())
    count = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
    holds = count <= MAX_LINES and all(file.suffix in (".yaml", ".sql") for file in files)
    return Figure("lines", count, None, None, f"at most {MAX_LINES} lines of YAML and SQL, no Python", holds)
