-- Which vector spaces a collection uses, what for, and how their embedder is made. A collection without a row here is
-- embedded with the model that the settings name; its first vector by a worker records that one as active.

-- role: active (searched), preferred (searched together with active, wins where it has a vector), building (gets
-- vectors, is not searched), kept (the former active one, for going back), dropping (its vectors are being removed).
CREATE TABLE space_uses (
    collection_id INTEGER NOT NULL REFERENCES collections (id),
    space_id      INTEGER NOT NULL REFERENCES spaces (id),
    role          TEXT NOT NULL CHECK (role IN ('active', 'preferred', 'building', 'kept', 'dropping')),
    revision      INTEGER NOT NULL,             -- of the collection, that gave it this role
    since         REAL NOT NULL,
    space         TEXT NOT NULL,                -- JSON object: the fields of the space
    recipe        TEXT NOT NULL,                -- JSON object; a key of a server by the name of its variable only
    PRIMARY KEY (collection_id, space_id)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX space_uses_searched ON space_uses (collection_id, role) WHERE role IN ('active', 'preferred');
