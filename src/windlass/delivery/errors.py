"""What can go wrong with deliveries."""


class DeliveryError(Exception):
    """A delivery could not do what was asked; the message says what, why, and what to do."""


class UnknownDeliveryError(DeliveryError):
    """There is no delivery with this number."""


class UnknownApplicationError(DeliveryError):
    """There is no Application of this name."""


class UnknownHoldError(DeliveryError):
    """Nothing of this Application is held."""


class SourceError(DeliveryError):
    """The Application's source cannot be read: repository, revision or path."""


class ChecksError(DeliveryError):
    """The annotation `windlass.dev/verify` cannot be understood."""
