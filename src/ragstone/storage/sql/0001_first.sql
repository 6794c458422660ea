-- The first schema. Text is stored once, in the chunks: their concatenation in order is the document's text.

-- A dropped collection keeps its row (dropped = 1): its name must stay readable in the log, and its revision must
-- not start again, because caches are keyed by it.
CREATE TABLE collections (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL DEFAULT 0,
    dropped  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The wide columns stand last, so that a scan of the narrow ones does not read overflow pages.
CREATE TABLE documents (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES collections (id),
    uri           TEXT NOT NULL,
    content_hash  BLOB NOT NULL,
    size          INTEGER NOT NULL,
    modified      REAL NOT NULL,
    added         REAL NOT NULL,
    language      TEXT NOT NULL,
    media_type    TEXT NOT NULL,
    characters    INTEGER NOT NULL,
    chunks        INTEGER NOT NULL,
    title         TEXT NOT NULL,
    metadata      TEXT NOT NULL,               -- JSON object
    pages         BLOB NOT NULL,               -- msgpack: [number, start, end, label] each
    UNIQUE (collection_id, uri)
) STRICT;

CREATE INDEX documents_by_language ON documents (collection_id, language, chunks);

-- AUTOINCREMENT: an id is never reused, so an index that still holds the id of a deleted chunk can do no harm.
CREATE TABLE chunks (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id  INTEGER NOT NULL REFERENCES documents (id),
    ordinal      INTEGER NOT NULL,
    start        INTEGER NOT NULL,
    "end"        INTEGER NOT NULL,
    page         INTEGER,
    line         INTEGER NOT NULL,
    content_hash BLOB NOT NULL,
    section      TEXT NOT NULL,                -- JSON array of headings, outermost first
    turns        TEXT NOT NULL,                -- JSON array of Turn: where page or section changes inside
    context      TEXT NOT NULL,
    text         TEXT NOT NULL
) STRICT;
CREATE INDEX chunks_of_document ON chunks (document_id, ordinal);
CREATE INDEX chunks_of_hash ON chunks (content_hash);

-- Index terms of chunks whose `add` is still in the log: 8 bytes a term. `version` is that of the analysis.
CREATE TABLE tail_terms (
    chunk_id INTEGER PRIMARY KEY,
    length   INTEGER NOT NULL,
    keys     BLOB NOT NULL,
    version  INTEGER NOT NULL
) STRICT;

-- Vector spaces by their full identity; `bytes` is the size of one vector.
CREATE TABLE spaces (
    id    INTEGER PRIMARY KEY,
    name  TEXT NOT NULL UNIQUE,
    bytes INTEGER NOT NULL
) STRICT;

-- Cache and truth of vectors in one: float16, little endian. A row lives as long as a chunk has its hash.
CREATE TABLE embeddings (
    space_id     INTEGER NOT NULL REFERENCES spaces (id),
    content_hash BLOB NOT NULL,
    vector       BLOB NOT NULL,
    PRIMARY KEY (space_id, content_hash)
) STRICT, WITHOUT ROWID;

-- A queue exists for (collection, space) from the moment on when a chunk of the collection first has a vector in
-- the space; before that every chunk waits, and no rows are needed to say so.
CREATE TABLE queues (
    collection_id INTEGER NOT NULL REFERENCES collections (id),
    space_id      INTEGER NOT NULL REFERENCES spaces (id),
    PRIMARY KEY (collection_id, space_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE waiting (
    collection_id INTEGER NOT NULL,
    space_id      INTEGER NOT NULL,
    chunk_id      INTEGER NOT NULL,
    PRIMARY KEY (collection_id, space_id, chunk_id),
    FOREIGN KEY (collection_id, space_id) REFERENCES queues (collection_id, space_id)
) STRICT, WITHOUT ROWID;

-- op: 0 add, 1 delete, 2 embed. The index by collection carries seq, being the row's id.
CREATE TABLE oplog (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL,
    op            INTEGER NOT NULL,
    chunk_id      INTEGER NOT NULL,
    space_id      INTEGER
) STRICT;
CREATE INDEX oplog_of_collection ON oplog (collection_id);

CREATE TABLE segments (
    collection_id INTEGER NOT NULL REFERENCES collections (id),
    kind          TEXT NOT NULL,
    space         TEXT NOT NULL,
    name          TEXT NOT NULL,
    position      INTEGER NOT NULL,
    checksum      BLOB NOT NULL,
    bytes         INTEGER NOT NULL,
    rows          INTEGER NOT NULL,
    watermark     INTEGER NOT NULL,
    dead          BLOB NOT NULL,
    PRIMARY KEY (collection_id, kind, space, name)
) STRICT;

CREATE TABLE roots (
    collection_id INTEGER NOT NULL REFERENCES collections (id),
    path          TEXT NOT NULL,
    PRIMARY KEY (collection_id, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE state (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
