-- Tenants, keys, use and audit log of a server. Times are POSIX seconds.
CREATE TABLE state (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    secret BLOB NOT NULL,            -- of the ids that it sees
    created REAL NOT NULL,
    deleted REAL,
    documents INTEGER NOT NULL,      -- quotas; 0: none
    bytes INTEGER NOT NULL,
    requests_per_minute INTEGER NOT NULL,
    tokens_per_day INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,     -- SHA-256
    name TEXT NOT NULL,
    tenant TEXT NOT NULL REFERENCES tenants (id),
    scopes TEXT NOT NULL,
    created REAL NOT NULL,
    expires REAL,
    used REAL,
    revoked REAL
) STRICT;

CREATE TABLE tokens (
    tenant TEXT NOT NULL,
    day TEXT NOT NULL,
    used INTEGER NOT NULL,
    PRIMARY KEY (tenant, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE feedback (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    answer TEXT NOT NULL,
    question TEXT NOT NULL,
    rating INTEGER NOT NULL,
    comment TEXT NOT NULL
) STRICT;

CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,
    tenant TEXT NOT NULL,
    key TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    address TEXT NOT NULL
) STRICT;
CREATE INDEX audit_of_tenant ON audit (tenant, id);
