"""The files under configs/: their models, loading, cross-checks, and the names of assets, groups and tags."""
