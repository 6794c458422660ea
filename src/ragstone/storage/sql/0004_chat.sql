-- Chats: sessions and their turns. A turn is written before it is answered, and once more with its answer.

CREATE TABLE chat_sessions (
    id      INTEGER PRIMARY KEY,
    uid     TEXT NOT NULL UNIQUE,               -- its name everywhere outside of this file
    name    TEXT NOT NULL UNIQUE,
    created REAL NOT NULL,
    changed REAL NOT NULL
) STRICT;
CREATE INDEX chat_sessions_by_time ON chat_sessions (changed);

-- `shared`: 1 where a shared backend has the row as it is here. `withdrawn`: the answer went with a passage that it was
-- made from. `imported`: it came from the shared backend, and its passages are those of another data folder.
CREATE TABLE chat_turns (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    uid        TEXT NOT NULL UNIQUE,
    session_id INTEGER NOT NULL REFERENCES chat_sessions (id) ON DELETE CASCADE,
    at         REAL NOT NULL,
    shared     INTEGER NOT NULL DEFAULT 0,
    imported   INTEGER NOT NULL DEFAULT 0,
    withdrawn  INTEGER NOT NULL DEFAULT 0,
    question   TEXT NOT NULL,
    answer     TEXT                             -- JSON object; NULL: none
) STRICT;
CREATE INDEX chat_turns_of_session ON chat_turns (session_id, at);
CREATE INDEX chat_turns_unshared ON chat_turns (session_id) WHERE NOT shared;

-- What each answer was made from.
CREATE TABLE chat_passages (
    chunk_id INTEGER NOT NULL,
    turn_id  INTEGER NOT NULL REFERENCES chat_turns (id) ON DELETE CASCADE,
    PRIMARY KEY (chunk_id, turn_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX chat_passages_of_turn ON chat_passages (turn_id);

-- Sessions that were forgotten while the shared backend was away.
CREATE TABLE chat_forgotten (uid TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

-- A passage that is removed, by whatever way, takes the answers along that were made from it.
CREATE TRIGGER chat_withdraw AFTER DELETE ON chunks
WHEN EXISTS (SELECT 1 FROM chat_passages WHERE chunk_id = old.id)
BEGIN
    UPDATE chat_turns SET answer = NULL, withdrawn = 1, shared = 0
    WHERE id IN (SELECT turn_id FROM chat_passages WHERE chunk_id = old.id);
    DELETE FROM chat_passages WHERE chunk_id = old.id;
END;
