"""An MLOps platform on Dagster: from source tables to retrained models, every step an asset with lineage."""
