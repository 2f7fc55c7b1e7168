"""State: SQL behind one port, migrations, and the append-only ledger with its feed."""

from windlass.store.database import Row, Store, StoreError, Transaction, UnknownQueryError, is_disk_full
from windlass.store.feed import Entry, Feed

__all__ = ["Entry", "Feed", "Row", "Store", "StoreError", "Transaction", "UnknownQueryError", "is_disk_full"]
