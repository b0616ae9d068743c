"""``python -m mlops_assets …``: the command line."""

from mlops_assets.cli import main

main()
