-- Queries about the knowledge graph.

-- name: graph_waiting
SELECT c.id, c.content_hash, c.context, c.text, d.language
FROM chunks c CROSS JOIN documents d ON d.id = c.document_id
WHERE d.collection_id = :collection AND c.id < :before AND c.id > :after
  AND NOT EXISTS (SELECT 1 FROM extractions e
                  WHERE e.content_hash = c.content_hash AND e.layer = :layer AND e.version = :version)
ORDER BY c.id DESC LIMIT :limit

-- name: count_graph_waiting
SELECT count(*)
FROM documents d CROSS JOIN chunks c ON c.document_id = d.id
WHERE d.collection_id = :collection
  AND NOT EXISTS (SELECT 1 FROM extractions e
                  WHERE e.content_hash = c.content_hash AND e.layer = :layer AND e.version = :version)

-- name: count_graph_failed
SELECT count(*)
FROM documents d CROSS JOIN chunks c ON c.document_id = d.id
CROSS JOIN extractions e ON e.content_hash = c.content_hash AND e.layer = :layer AND e.error <> ''
WHERE d.collection_id = :collection

-- name: count_graph_read
SELECT count(*)
FROM documents d CROSS JOIN chunks c ON c.document_id = d.id
CROSS JOIN extractions e ON e.content_hash = c.content_hash AND e.layer = :layer AND e.error = ''
WHERE d.collection_id = :collection

-- name: forget_failed_extractions
DELETE FROM extractions
WHERE layer = :layer AND error <> '' AND content_hash IN (
    SELECT c.content_hash FROM documents d CROSS JOIN chunks c ON c.document_id = d.id
    WHERE d.collection_id = :collection)

-- name: graph_failures
SELECT c.id, d.uri, e.error
FROM documents d CROSS JOIN chunks c ON c.document_id = d.id
CROSS JOIN extractions e ON e.content_hash = c.content_hash AND e.layer = :layer AND e.error <> ''
WHERE d.collection_id = :collection
ORDER BY c.id DESC
LIMIT :limit

-- name: extraction
SELECT version, error, data FROM extractions WHERE content_hash = ? AND layer = ?

-- name: put_extraction
INSERT INTO extractions (content_hash, layer, version, error, data) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (content_hash, layer) DO UPDATE
SET version = excluded.version, error = excluded.error, data = excluded.data

-- name: extractions
SELECT c.id, e.data
FROM carray(?) wanted
CROSS JOIN chunks c ON c.id = wanted.value
CROSS JOIN extractions e ON e.content_hash = c.content_hash AND e.layer = ?

-- Of texts that no chunk holds any more. `hash` is that of a removed chunk.
-- name: forget_extraction
DELETE FROM extractions
WHERE content_hash = :hash AND NOT EXISTS (SELECT 1 FROM chunks WHERE content_hash = :hash)

-- name: purge_extractions
DELETE FROM extractions
WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.content_hash = extractions.content_hash)

-- name: check_extractions
SELECT count(*) FROM extractions e
WHERE NOT EXISTS (SELECT 1 FROM chunks c WHERE c.content_hash = e.content_hash)

-- name: graph_decisions
SELECT a, b, kind, at, who, id FROM graph_decisions WHERE collection_id = ? ORDER BY id

-- name: forget_graph_decision
DELETE FROM graph_decisions WHERE collection_id = ? AND a = ? AND b = ? RETURNING id

-- name: insert_graph_decision
INSERT INTO graph_decisions (collection_id, a, b, kind, at, who) VALUES (?, ?, ?, ?, ?, ?)

-- name: drop_graph_decisions
DELETE FROM graph_decisions WHERE collection_id = ?
