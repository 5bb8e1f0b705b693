"""An exchange on this machine: CCXT, unmodified, speaks to it as if it were one of the real ones."""

from .faults import Fault, Plan
from .server import Venue, VenueThread

__all__ = ["Fault", "Plan", "Venue", "VenueThread"]
