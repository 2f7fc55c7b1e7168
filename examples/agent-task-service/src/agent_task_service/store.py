"""The task store: one SQLite file."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass

PRIORITIES = ("low", "normal", "high")


@dataclass(frozen=True)
class Task:
    id: int
    title: str
    priority: str


class TaskStore:
    """Tasks in SQLite. Every method raises sqlite3.Error when the store does not answer."""

    def __init__(self, path: str) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS tasks (id INTEGER PRIMARY KEY, title TEXT, priority TEXT)"
        )

    def answers(self) -> bool:
        with self._lock:
            return self._database.execute("SELECT 1").fetchone() == (1,)

    def add(self, title: str, priority: str) -> Task:
        with self._lock, self._database:
            cursor = self._database.execute(
                "INSERT INTO tasks (title, priority) VALUES (?, ?)", (title, priority)
            )
            return Task(int(cursor.lastrowid or 0), title, priority)

    def all(self) -> list[Task]:
        with self._lock:
            rows = self._database.execute("SELECT id, title, priority FROM tasks ORDER BY id")
            return [Task(*row) for row in rows]

    def close(self) -> None:
        self._database.close()
