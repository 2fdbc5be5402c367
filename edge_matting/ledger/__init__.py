"""The durable job table: what was asked, what was done, and where everything lies."""

from edge_matting.ledger.database import set_aside
from edge_matting.ledger.intake import Enqueued
from edge_matting.ledger.ledger import Ledger
from edge_matting.ledger.work import Recovered

__all__ = ["Enqueued", "Ledger", "Recovered", "set_aside"]
