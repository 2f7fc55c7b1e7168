CREATE TABLE releases (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    repository TEXT NOT NULL,
    tag TEXT NOT NULL,
    title TEXT NOT NULL,
    notes TEXT NOT NULL,
    draft INTEGER NOT NULL,
    prerelease INTEGER NOT NULL,
    target TEXT NOT NULL,
    sha TEXT NOT NULL,
    author TEXT NOT NULL,
    author_kind TEXT NOT NULL,
    created_at REAL NOT NULL,
    published_at REAL,
    UNIQUE (repository, tag)
);
