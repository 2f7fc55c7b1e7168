CREATE TABLE ledger (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    actor TEXT NOT NULL,
    data TEXT NOT NULL
);
CREATE INDEX ledger_subject ON ledger (subject, id);
CREATE INDEX ledger_kind ON ledger (kind, id);
