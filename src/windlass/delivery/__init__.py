"""From a GitOps commit to a verified, running version, and back by itself when it turns out bad."""

from windlass.delivery.deliveries import ApplicationView, Deliveries, Report, Run
from windlass.delivery.delivery import Delivery
from windlass.delivery.errors import (
    ChecksError,
    DeliveryError,
    SourceError,
    UnknownApplicationError,
    UnknownDeliveryError,
    UnknownHoldError,
)
from windlass.delivery.records import Delivery as Record
from windlass.delivery.records import Deployment, Evidence, Hold
from windlass.delivery.settings import Settings

__all__ = [
    "ApplicationView",
    "ChecksError",
    "Deliveries",
    "Delivery",
    "DeliveryError",
    "Deployment",
    "Evidence",
    "Hold",
    "Record",
    "Report",
    "Run",
    "Settings",
    "SourceError",
    "UnknownApplicationError",
    "UnknownDeliveryError",
    "UnknownHoldError",
]
