"""Documentation of the key columns that several families share.

Belongs here: keys only. Does not belong here: any feature.
"""

from __future__ import annotations

from mlops_assets.domain.features.table import ColumnDoc

SUBSCRIBER_KEY = ColumnDoc("integer", "subscriber number", role="key")
DEVICE_KEY = ColumnDoc("text", "network element", role="key")
