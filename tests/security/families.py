"""All families of hostile inputs, for the tests and for the benchmark `hypothesis_inputs`."""

from __future__ import annotations

from tests.security.attacks_on_config import CONFIG_FAMILIES
from tests.security.attacks_on_feeds import FEED_FAMILIES
from tests.security.attacks_on_models import MODEL_FAMILIES
from tests.security.attacks_on_names import NAME_FAMILIES
from tests.security.attacks_on_reports import REPORT_FAMILIES
from tests.security.attacks_on_service import SERVICE_FAMILIES

FAMILIES = (
    *CONFIG_FAMILIES,
    *NAME_FAMILIES,
    *FEED_FAMILIES,
    *MODEL_FAMILIES,
    *REPORT_FAMILIES,
    *SERVICE_FAMILIES,
)
