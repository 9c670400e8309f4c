"""The instances on record, which outlive a restart of the server.

What was terminated is shown for about a minute, and then forgotten, at the moment when someone looks.
"""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from anka_ci.clock import Clock
from anka_ci.errors import NotFoundError
from anka_ci.server.groups import Store
from anka_ci.server.record import Record
from anka_ci.wire.instance import TERMINATED, TERMINATING

TABLE = "CREATE TABLE IF NOT EXISTS instances (number INTEGER PRIMARY KEY, id TEXT UNIQUE, document TEXT NOT NULL)"
SHOWN = 60.0
"""Seconds for which an instance that was terminated is still shown (``ANKA_INSTANCE_TIME_OUT``)."""
GONE = (TERMINATING, TERMINATED)


class Ledger:
    """Records by id, in ``store``. Methods may be called from any thread; ``lock`` joins several into one step."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.lock = threading.RLock()
        self._store, self._clock = store, clock
        with store.transaction() as db:
            db.execute(TABLE)
            rows = db.execute("SELECT document FROM instances ORDER BY number").fetchall()
        self._all = {found.instance.id: found for found in (Record.read(row[0]) for row in rows)}

    def all(self) -> list[Record]:
        """Every instance that is shown, in the order of their starts."""
        with self.lock:
            for instance_id in list(self._all):
                self._expire(instance_id)
            return list(self._all.values())

    def get(self, instance_id: str) -> Record:
        with self.lock:
            self._expire(instance_id)
            if instance_id not in self._all:
                raise NotFoundError("instance", instance_id)
            return self._all[instance_id]

    def _expire(self, instance_id: str) -> None:
        record = self._all.get(instance_id)
        if record is not None and record.ended is not None and self._clock.now() >= record.ended + SHOWN:
            self.drop(instance_id)

    def put(self, *records: Record) -> None:
        """Keep records, new or changed, all in one transaction."""
        with self.lock, self._store.transaction() as db:
            for record in records:
                db.execute(
                    "INSERT INTO instances (id, document) VALUES (?, ?)"
                    " ON CONFLICT (id) DO UPDATE SET document = excluded.document",
                    (record.instance.id, record.emit()),
                )
                self._all[record.instance.id] = record

    def drop(self, instance_id: str) -> None:
        with self.lock, self._store.transaction() as db:
            db.execute("DELETE FROM instances WHERE id = ?", (instance_id,))
            self._all.pop(instance_id, None)

    def change(self, instance_id: str, *, keep: bool = True, unless: Collection[str] = (), **changes: Any) -> Record:
        """Change an instance, or its ``uuid``, ``order`` or ``ended``; the record.

        Nothing changes in a state that is one of ``unless``. Without ``keep`` it is not written: progress is not worth
        it.
        """
        with self.lock:
            record = self._all.get(instance_id)
            if record is None:
                raise NotFoundError("instance", instance_id)
            if record.instance.state in unless:
                return record
            own = {key: changes.pop(key) for key in ("uuid", "order", "ended") if key in changes}
            record = replace(record.changed(self._clock.now(), **changes), **own)
            if keep:
                self.put(record)
            else:
                self._all[instance_id] = record
            return record
