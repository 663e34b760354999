"""Report models and their renderers."""
