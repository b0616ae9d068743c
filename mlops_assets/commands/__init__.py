"""Commands of ``mlops-assets`` by subject; `mlops_assets.cli` registers them."""
