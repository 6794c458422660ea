-- Chunks of each collection by the language of their document: asked after every write, and as quick for a million documents.
CREATE TABLE language_chunks (
    collection_id INTEGER NOT NULL REFERENCES collections (id) ON DELETE CASCADE,
    language      TEXT NOT NULL,
    chunks        INTEGER NOT NULL,
    PRIMARY KEY (collection_id, language)
) STRICT, WITHOUT ROWID;
INSERT INTO language_chunks SELECT collection_id, language, sum(chunks) FROM documents GROUP BY collection_id, language;

CREATE TRIGGER language_of_new_document AFTER INSERT ON documents
BEGIN
    INSERT INTO language_chunks VALUES (NEW.collection_id, NEW.language, NEW.chunks)
    ON CONFLICT DO UPDATE SET chunks = chunks + excluded.chunks;
END;
CREATE TRIGGER language_of_old_document AFTER DELETE ON documents
BEGIN
    UPDATE language_chunks SET chunks = chunks - OLD.chunks
    WHERE collection_id = OLD.collection_id AND language = OLD.language;
END;
CREATE TRIGGER language_of_changed_document AFTER UPDATE OF collection_id, language, chunks ON documents
BEGIN
    UPDATE language_chunks SET chunks = chunks - OLD.chunks
    WHERE collection_id = OLD.collection_id AND language = OLD.language;
    INSERT INTO language_chunks VALUES (NEW.collection_id, NEW.language, NEW.chunks)
    ON CONFLICT DO UPDATE SET chunks = chunks + excluded.chunks;
END;
