-- Every query of the store, by name. `:name` and `?` are bound values; nothing is ever pasted into SQL.

-- ---------------------------------------------------------------- collections

-- name: collection_names
SELECT name FROM collections WHERE NOT dropped ORDER BY name

-- name: collection
SELECT id, revision FROM collections WHERE name = ? AND NOT dropped

-- name: create_collection
INSERT INTO collections (name) VALUES (?)
ON CONFLICT (name) DO UPDATE SET dropped = 0

-- name: drop_collection
UPDATE collections SET dropped = 1 WHERE id = ?

-- name: raise_revision
UPDATE collections SET revision = revision + 1 WHERE id = ?

-- ---------------------------------------------------------------- documents

-- name: stored_version
SELECT id, content_hash FROM documents WHERE collection_id = ? AND uri = ?

-- name: insert_document
INSERT INTO documents (collection_id, uri, content_hash, size, modified, added, language, media_type, characters,
                       chunks, title, metadata, pages)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: update_document
UPDATE documents
SET content_hash = ?, size = ?, modified = ?, added = ?, language = ?, media_type = ?, characters = ?, chunks = ?,
    title = ?, metadata = ?, pages = ?
WHERE id = ?

-- name: delete_document
DELETE FROM documents WHERE id = ?

-- name: known
SELECT uri, content_hash, size, modified FROM documents WHERE collection_id = ?

-- name: known_of
-- documents of these uris (a JSON array), and members of archives of these uris ('0' follows '/'); CROSS JOIN:
-- SQLite keeps this order, and looks each name up instead of reading all documents
SELECT d.uri, d.content_hash, d.size, d.modified
FROM json_each(?2) AS n CROSS JOIN documents AS d ON d.uri = n.value WHERE d.collection_id = ?1
UNION ALL
SELECT d.uri, d.content_hash, d.size, d.modified
FROM json_each(?2) AS n CROSS JOIN documents AS d
ON d.uri >= n.value || '!/' AND d.uri < n.value || '!0' WHERE d.collection_id = ?1

-- name: document
SELECT d.id, c.name, d.uri, d.title, d.media_type, d.language, d.metadata, d.content_hash, d.size, d.characters,
       d.chunks, d.modified, d.added, d.pages
FROM documents d JOIN collections c ON c.id = d.collection_id
WHERE d.collection_id = ? AND d.uri = ?

-- name: documents_by_id
SELECT d.id, c.name, d.uri, d.title, d.media_type, d.language, d.metadata, d.content_hash, d.size, d.characters,
       d.chunks, d.modified, d.added, d.pages
FROM carray(?) wanted CROSS JOIN documents d ON d.id = wanted.value JOIN collections c ON c.id = d.collection_id

-- name: document_page
SELECT d.id, c.name, d.uri, d.title, d.media_type, d.language, d.metadata, d.content_hash, d.size, d.characters,
       d.chunks, d.modified, d.added, d.pages
FROM documents d JOIN collections c ON c.id = d.collection_id
WHERE d.collection_id = :collection AND d.uri > :after
  AND (:language = '' OR d.language = :language)
  AND (:contains = '' OR instr(lower(d.uri), :contains) > 0 OR instr(lower(d.title), :contains) > 0)
ORDER BY d.uri LIMIT :limit

-- name: document_ids
SELECT id FROM documents WHERE collection_id = ? ORDER BY uri

-- name: document_exists
SELECT 1 FROM documents WHERE id = ?

-- ---------------------------------------------------------------- chunks

-- name: chunks
SELECT c.id, c.document_id, k.name, d.uri, d.title, d.media_type, d.language, c.ordinal, c.start, c."end", c.page,
       c.line, c.section, c.turns, c.text, c.context, c.content_hash, d.metadata
FROM carray(?) wanted
CROSS JOIN chunks c ON c.id = wanted.value
CROSS JOIN documents d ON d.id = c.document_id
CROSS JOIN collections k ON k.id = d.collection_id

-- name: chunks_of_document
SELECT id FROM chunks WHERE document_id = ? ORDER BY ordinal

-- name: whole_documents
SELECT d.id, c.id, k.name, d.title
FROM carray(?) wanted
CROSS JOIN documents d ON d.id = wanted.value AND d.chunks = 1
CROSS JOIN chunks c ON c.document_id = d.id
CROSS JOIN collections k ON k.id = d.collection_id

-- name: text_of_document
SELECT text FROM chunks WHERE document_id = ? ORDER BY ordinal

-- name: stored_chunks
SELECT content_hash, id, ordinal, start, "end", page, line, section, turns
FROM chunks WHERE document_id = ? ORDER BY ordinal

-- name: insert_chunk
INSERT INTO chunks (id, document_id, ordinal, start, "end", page, line, content_hash, section, turns, context, text)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: move_chunk
UPDATE chunks SET ordinal = ?, start = ?, "end" = ?, page = ?, line = ?, section = ?, turns = ? WHERE id = ?

-- name: delete_chunk
DELETE FROM chunks WHERE id = ?

-- name: chunk_ids_of_collection
SELECT c.id FROM documents d CROSS JOIN chunks c ON c.document_id = d.id WHERE d.collection_id = ?

-- name: owners
SELECT c.id, d.id FROM documents d CROSS JOIN chunks c ON c.document_id = d.id WHERE d.collection_id = ?

-- name: chunk_ids_of_documents
SELECT c.id FROM carray(?) wanted CROSS JOIN chunks c ON c.document_id = wanted.value

-- name: hashes_of_documents
SELECT c.id, c.content_hash FROM carray(?) wanted CROSS JOIN chunks c ON c.document_id = wanted.value

-- name: languages
SELECT language, chunks FROM language_chunks WHERE collection_id = ? AND chunks > 0

-- name: chunks_in_another_language
SELECT c.id
FROM carray(?) wanted
CROSS JOIN chunks c ON c.id = wanted.value
CROSS JOIN documents d ON d.id = c.document_id
WHERE d.language NOT IN ('', ?)
ORDER BY c.id

-- name: chunk_total
SELECT coalesce(sum(chunks), 0) FROM language_chunks WHERE collection_id = ?

-- The last id ever given in a table, also when its row is gone.
-- name: last_id
SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = ?), 0)

-- ---------------------------------------------------------------- operation log

-- name: log
INSERT INTO oplog (collection_id, op, chunk_id, space_id) VALUES (?, ?, ?, ?)

-- name: changes
SELECT o.seq, c.name, o.op, o.chunk_id, s.name
FROM oplog o JOIN collections c ON c.id = o.collection_id LEFT JOIN spaces s ON s.id = o.space_id
WHERE o.seq > ? ORDER BY o.seq LIMIT ?

-- name: changes_of_collection
SELECT o.seq, c.name, o.op, o.chunk_id, s.name
FROM collections c CROSS JOIN oplog o ON o.collection_id = c.id LEFT JOIN spaces s ON s.id = o.space_id
WHERE c.name = ? AND o.seq > ? ORDER BY o.seq LIMIT ?

-- name: first_seq
SELECT min(seq) FROM oplog

-- name: trim_terms
DELETE FROM tail_terms WHERE chunk_id IN (SELECT chunk_id FROM oplog WHERE seq < ? AND op = 0)

-- name: trim_log
DELETE FROM oplog WHERE seq < ?

-- name: keep_terms
INSERT INTO tail_terms (chunk_id, length, keys, version) VALUES (?, ?, ?, ?)

-- name: forget_terms
DELETE FROM tail_terms WHERE chunk_id = ?

-- name: terms
SELECT t.chunk_id, t.length, t.keys
FROM carray(?) wanted CROSS JOIN tail_terms t ON t.chunk_id = wanted.value AND t.version = ?

-- ---------------------------------------------------------------- vectors

-- name: space
SELECT id, bytes FROM spaces WHERE name = ?

-- name: spaces
SELECT id FROM spaces

-- name: insert_space
INSERT INTO spaces (name, bytes) VALUES (?, ?) RETURNING id

-- name: embedding
SELECT vector FROM embeddings WHERE space_id = ? AND content_hash = ?

-- name: put_embedding
INSERT INTO embeddings (space_id, content_hash, vector) VALUES (?, ?, ?)
ON CONFLICT (space_id, content_hash) DO UPDATE SET vector = excluded.vector

-- name: embedded_hashes
SELECT e.content_hash
FROM carray(?) wanted CROSS JOIN embeddings e ON e.space_id = ? AND e.content_hash = wanted.value

-- Vectors of texts that no chunk holds any more. `hashes` are those of removed chunks.
-- name: forget_embedding
DELETE FROM embeddings
WHERE content_hash = :hash AND space_id IN (SELECT id FROM spaces)
  AND NOT EXISTS (SELECT 1 FROM chunks WHERE content_hash = :hash)

-- name: embeddings
SELECT c.id, e.vector
FROM carray(?) wanted
CROSS JOIN chunks c ON c.id = wanted.value
CROSS JOIN embeddings e ON e.space_id = ? AND e.content_hash = c.content_hash

-- name: chunks_of_hash
SELECT c.id, d.collection_id
FROM chunks c JOIN documents d ON d.id = c.document_id WHERE c.content_hash = ? ORDER BY c.id

-- name: queue
SELECT 1 FROM queues WHERE collection_id = ? AND space_id = ?

-- name: queues
SELECT space_id FROM queues WHERE collection_id = ?

-- name: open_queue
INSERT INTO queues (collection_id, space_id) VALUES (?, ?)

-- name: fill_queue
INSERT INTO waiting (collection_id, space_id, chunk_id)
SELECT :collection, :space, c.id
FROM documents d CROSS JOIN chunks c ON c.document_id = d.id
WHERE d.collection_id = :collection
  AND NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.space_id = :space AND e.content_hash = c.content_hash)
ORDER BY c.id

-- name: wait
INSERT INTO waiting (collection_id, space_id, chunk_id) VALUES (?, ?, ?)

-- name: served
DELETE FROM waiting WHERE collection_id = ? AND space_id = ? AND chunk_id = ?

-- name: count_waiting
SELECT count(*) FROM waiting WHERE collection_id = ? AND space_id = ?

-- name: count_every_waiting
-- And collections of which nothing was embedded yet: those have no queue.
SELECT (SELECT count(*) FROM waiting) + (
    SELECT count(*) FROM collections c
    WHERE NOT EXISTS (SELECT 1 FROM queues q WHERE q.collection_id = c.id)
    AND EXISTS (SELECT 1 FROM documents d WHERE d.collection_id = c.id AND d.chunks > 0))

-- name: newest_waiting
SELECT c.id, c.content_hash, c.context, c.text
FROM waiting w CROSS JOIN chunks c ON c.id = w.chunk_id
WHERE w.collection_id = ? AND w.space_id = ? ORDER BY w.chunk_id DESC LIMIT ?

-- Where no queue exists yet every chunk of the collection waits.
-- name: newest_chunks
SELECT c.id, c.content_hash, c.context, c.text
FROM chunks c CROSS JOIN documents d ON d.id = c.document_id
WHERE d.collection_id = ? ORDER BY c.id DESC LIMIT ?

-- ---------------------------------------------------------------- segments, roots, state

-- name: segments
SELECT kind, space, name, checksum, bytes, rows, watermark, dead
FROM segments WHERE collection_id = ? ORDER BY kind, space, position

-- name: forget_segments
DELETE FROM segments WHERE collection_id = ? AND kind = ? AND space = ?

-- name: insert_segment
INSERT INTO segments (collection_id, kind, space, name, position, checksum, bytes, rows, watermark, dead)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: drop_segments
DELETE FROM segments WHERE collection_id = ?

-- name: drop_roots
DELETE FROM roots WHERE collection_id = ?

-- name: drop_waiting
DELETE FROM waiting WHERE collection_id = ?

-- name: drop_queues
DELETE FROM queues WHERE collection_id = ?

-- name: roots
SELECT path FROM roots WHERE collection_id = ? ORDER BY path

-- name: add_root
INSERT INTO roots (collection_id, path) VALUES (?, ?) ON CONFLICT DO NOTHING

-- name: remove_root
DELETE FROM roots WHERE collection_id = ? AND path = ?

-- name: get_state
SELECT value FROM state WHERE key = ?

-- name: set_state
INSERT INTO state (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value

-- ---------------------------------------------------------------- checks

-- name: check_coverage
SELECT d.id, d.uri, d.characters, d.chunks, c.ordinal, c.start, c."end", c.text
FROM documents d LEFT JOIN chunks c ON c.document_id = d.id ORDER BY d.id, c.ordinal

-- name: check_unused_embeddings
SELECT count(*) FROM embeddings e
WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.content_hash = e.content_hash)

-- name: check_queues
SELECT count(*) FROM (
    SELECT q.collection_id, q.space_id, c.id
    FROM queues q JOIN documents d ON d.collection_id = q.collection_id JOIN chunks c ON c.document_id = d.id
    WHERE NOT EXISTS (
        SELECT 1 FROM embeddings e WHERE e.space_id = q.space_id AND e.content_hash = c.content_hash)
    EXCEPT SELECT collection_id, space_id, chunk_id FROM waiting)

-- name: check_waiting
SELECT count(*) FROM waiting w
WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = w.chunk_id)
   OR EXISTS (SELECT 1 FROM chunks c JOIN embeddings e
              ON e.space_id = w.space_id AND e.content_hash = c.content_hash WHERE c.id = w.chunk_id)

-- name: check_languages
SELECT count(*) FROM (
    SELECT collection_id, language, sum(chunks) AS chunks FROM (
        SELECT collection_id, language, chunks FROM documents
        UNION ALL SELECT collection_id, language, -chunks FROM language_chunks)
    GROUP BY collection_id, language)
WHERE chunks <> 0

-- name: check_terms
SELECT count(*) FROM tail_terms t WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = t.chunk_id)

-- ---------------------------------------------------------------- purging

-- name: purge_embeddings
DELETE FROM embeddings
WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.content_hash = embeddings.content_hash)

-- name: purge_terms
DELETE FROM tail_terms WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = tail_terms.chunk_id)

-- name: purge_waiting
DELETE FROM waiting
WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.id = waiting.chunk_id)
   OR EXISTS (SELECT 1 FROM chunks c JOIN embeddings e
              ON e.space_id = waiting.space_id AND e.content_hash = c.content_hash WHERE c.id = waiting.chunk_id)

-- name: purge_roots
DELETE FROM roots WHERE collection_id IN (SELECT id FROM collections WHERE dropped)

-- name: forget_state
DELETE FROM state WHERE key = ?

-- name: state_keys
SELECT key FROM state WHERE key >= :prefix AND key < :prefix || char(1114111)

-- ---------------------------------------------------------------- mending

-- name: mend_queues
INSERT INTO waiting (collection_id, space_id, chunk_id)
SELECT q.collection_id, q.space_id, c.id
FROM queues q JOIN documents d ON d.collection_id = q.collection_id JOIN chunks c ON c.document_id = d.id
WHERE NOT EXISTS (SELECT 1 FROM embeddings e WHERE e.space_id = q.space_id AND e.content_hash = c.content_hash)
ON CONFLICT DO NOTHING

-- name: uri_and_length
SELECT uri, characters FROM documents WHERE id = ?

-- name: every_segment
SELECT collection_id, kind, space, name, checksum FROM segments ORDER BY name
