-- What knowledge was told in which words, and which of these say the same or the contrary. Items of knowledge follow
-- from it (storage/memory_groups.py).

-- `hash`: of the text to the letter; `words`: of its words alone. `vector`: of the text without its context, in `space`,
-- float16; empty where it is that of the item's chunk.
CREATE TABLE memory_texts (
    id         INTEGER PRIMARY KEY,
    project_id INTEGER NOT NULL REFERENCES memory_projects (id),
    asks       INTEGER NOT NULL,                -- 1: a question, which no statement repeats
    words      BLOB NOT NULL,
    hash       BLOB NOT NULL,
    space      TEXT NOT NULL DEFAULT '',
    vector     BLOB NOT NULL DEFAULT x'',
    UNIQUE (project_id, asks, hash)
) STRICT;

-- Each pair in both directions. `similarity` is 0 where they say the contrary, and else from the threshold on.
CREATE TABLE memory_likenesses (
    one        INTEGER NOT NULL REFERENCES memory_texts (id) ON DELETE CASCADE,
    other      INTEGER NOT NULL REFERENCES memory_texts (id) ON DELETE CASCADE,
    similarity REAL NOT NULL,
    PRIMARY KEY (one, other)
) STRICT, WITHOUT ROWID;
CREATE INDEX memory_likenesses_other ON memory_likenesses (other);

-- The text of the first telling.
ALTER TABLE memory_items ADD COLUMN text_id INTEGER REFERENCES memory_texts (id) ON DELETE SET NULL;
ALTER TABLE memory_tellings ADD COLUMN text_id INTEGER REFERENCES memory_texts (id);
CREATE INDEX memory_items_of_text ON memory_items (text_id) WHERE text_id IS NOT NULL;
CREATE INDEX memory_tellings_of_text ON memory_tellings (text_id) WHERE text_id IS NOT NULL;

-- What was remembered before: all tellings of an item count as told in its words.
INSERT INTO memory_texts (project_id, asks, words, hash)
SELECT project_id, type = 7, words, words FROM memory_items WHERE kind = 2 GROUP BY project_id, type = 7, words;
UPDATE memory_items SET text_id = (
    SELECT t.id FROM memory_texts t
    WHERE t.project_id = memory_items.project_id AND t.asks = (memory_items.type = 7) AND t.hash = memory_items.words
) WHERE kind = 2;
UPDATE memory_tellings SET text_id = (SELECT i.text_id FROM memory_items i WHERE i.document_id = memory_tellings.document_id);
INSERT OR IGNORE INTO memory_likenesses (one, other, similarity)
SELECT a.text_id, b.text_id, 0.0 FROM memory_contradictions c
JOIN memory_items a ON a.document_id = c.one JOIN memory_items b ON b.document_id = c.other;

DROP TABLE memory_contradictions;
CREATE VIEW memory_contradictions (one, other) AS
SELECT a.document_id, b.document_id FROM memory_items a
CROSS JOIN memory_likenesses l ON l.one = a.text_id AND l.similarity = 0.0
CROSS JOIN memory_items b ON b.text_id = l.other;

-- A text goes with the last telling of it.
CREATE TRIGGER memory_text_untold AFTER DELETE ON memory_tellings WHEN OLD.text_id IS NOT NULL
BEGIN
    DELETE FROM memory_texts
    WHERE id = OLD.text_id AND NOT EXISTS (SELECT 1 FROM memory_tellings WHERE text_id = OLD.text_id);
END;
