-- What is remembered. Every item is a document of one chunk in the collection ":memory"; here stands what is
-- structured about it. Its state follows from the rows alone (storage/memory_states.py).

CREATE TABLE memory_projects (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,              -- "" is the general one
    created  REAL NOT NULL,
    archived INTEGER NOT NULL DEFAULT 0
) STRICT;

-- kind, type, state: positions in the lists of memory_types.py. `folded_key` and `folded_value` are compared, `words`
-- is a hash of the text's words: equal means told again. `told_at` is when it was last told, `version` the
-- collection's revision that changed the row last.
CREATE TABLE memory_items (
    document_id  INTEGER PRIMARY KEY REFERENCES documents (id) ON DELETE CASCADE,
    project_id   INTEGER NOT NULL REFERENCES memory_projects (id),
    kind         INTEGER NOT NULL,
    type         INTEGER NOT NULL,
    state        INTEGER NOT NULL,
    told         INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    replaced_by  INTEGER REFERENCES memory_items (document_id) ON DELETE SET NULL,
    at           REAL NOT NULL,
    valid_from   REAL NOT NULL,
    valid_to     REAL,
    told_at      REAL NOT NULL,
    confidence   REAL NOT NULL,
    created      REAL NOT NULL,
    changed      REAL NOT NULL,
    words        BLOB NOT NULL,
    folded_key   TEXT NOT NULL,
    folded_value TEXT NOT NULL,
    key          TEXT NOT NULL,
    value        TEXT NOT NULL,
    who          TEXT NOT NULL,
    intent       TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    participants TEXT NOT NULL                  -- JSON array
) STRICT;
CREATE INDEX memory_by_words ON memory_items (project_id, kind, words);
CREATE INDEX memory_by_key ON memory_items (project_id, folded_key, told_at);
CREATE INDEX memory_by_version ON memory_items (version);
CREATE INDEX memory_by_time ON memory_items (at);
CREATE INDEX memory_by_type ON memory_items (type, at);
CREATE INDEX memory_by_project ON memory_items (project_id, state, told_at);
CREATE INDEX memory_by_intent ON memory_items (intent, confidence) WHERE intent <> '';
CREATE INDEX memory_replaced ON memory_items (replaced_by) WHERE replaced_by IS NOT NULL;

-- How an item came to be known: the first telling is the item itself (`item` is empty), each other one repeats it and
-- keeps its own words, so that the item can stand on it when the earlier ones go.
CREATE TABLE memory_tellings (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    document_id     INTEGER NOT NULL REFERENCES memory_items (document_id) ON DELETE CASCADE,
    at              REAL NOT NULL,
    sourced         INTEGER NOT NULL,           -- 1: it stands on sources, and goes with the last of them
    idempotency_key TEXT UNIQUE,
    item            TEXT NOT NULL               -- JSON object
) STRICT;
CREATE INDEX memory_tellings_of_item ON memory_tellings (document_id);

-- `bound`: the document was there when this was written; its id is lost when it is removed. `gone`: the words are no
-- longer in it. `quote`: how the span begins, to find it where the text moved.
CREATE TABLE memory_sources (
    id           INTEGER PRIMARY KEY,
    telling_id   INTEGER NOT NULL REFERENCES memory_tellings (id) ON DELETE CASCADE,
    document_id  INTEGER REFERENCES documents (id) ON DELETE SET NULL,
    bound        INTEGER NOT NULL,
    gone         INTEGER NOT NULL DEFAULT 0,
    start        INTEGER NOT NULL,
    "end"        INTEGER NOT NULL,
    collection   TEXT NOT NULL,
    uri          TEXT NOT NULL,
    content_hash BLOB NOT NULL,
    quote        TEXT NOT NULL
) STRICT;
CREATE INDEX memory_sources_of_telling ON memory_sources (telling_id);
CREATE INDEX memory_sources_of_document ON memory_sources (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX memory_sources_lost ON memory_sources (id) WHERE bound AND document_id IS NULL;

-- Items that say the contrary of each other, each pair in both directions. The one that was told last holds.
CREATE TABLE memory_contradictions (
    one   INTEGER NOT NULL REFERENCES memory_items (document_id) ON DELETE CASCADE,
    other INTEGER NOT NULL REFERENCES memory_items (document_id) ON DELETE CASCADE,
    PRIMARY KEY (one, other)
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_contradicted ON memory_contradictions (other);

CREATE INDEX memory_by_session ON memory_items (project_id, at) WHERE kind = 1;
