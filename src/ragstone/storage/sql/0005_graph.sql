-- The knowledge graph: what was extracted from texts, and what was decided about it by hand. All else follows from it.

-- A row lives as long as a chunk has its hash, which covers text, context and language: all that an extractor is given.
-- layer: 0 rules, 1 a language model. `data` is empty where extraction failed: then `error` says why.
CREATE TABLE extractions (
    content_hash BLOB NOT NULL,
    layer        INTEGER NOT NULL,
    version      TEXT NOT NULL,
    error        TEXT NOT NULL DEFAULT '',
    data         BLOB NOT NULL,
    PRIMARY KEY (content_hash, layer)
) STRICT, WITHOUT ROWID;

-- One row a pair, `a` < `b`: digests of two forms, so that no name stays when its texts are gone. `id` orders them.
CREATE TABLE graph_decisions (
    id            INTEGER PRIMARY KEY AUTOINCREMENT,
    collection_id INTEGER NOT NULL REFERENCES collections (id),
    a             TEXT NOT NULL,
    b             TEXT NOT NULL,
    kind          TEXT NOT NULL CHECK (kind IN ('merge', 'split')),
    at            REAL NOT NULL,
    who           TEXT NOT NULL,
    UNIQUE (collection_id, a, b)
) STRICT;
