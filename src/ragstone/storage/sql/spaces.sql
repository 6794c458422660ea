-- Queries about the spaces that collections use.

-- name: space_uses
SELECT space, role, recipe, revision, since FROM space_uses WHERE collection_id = ?
ORDER BY CASE role WHEN 'active' THEN 0 WHEN 'preferred' THEN 1 WHEN 'building' THEN 2 WHEN 'kept' THEN 3 ELSE 4 END,
         since DESC, space

-- name: has_uses
SELECT 1 FROM space_uses WHERE collection_id = ? LIMIT 1

-- name: insert_use
INSERT INTO space_uses (collection_id, space_id, role, revision, since, space, recipe) VALUES (?, ?, ?, ?, ?, ?, ?)

-- name: drop_uses
DELETE FROM space_uses WHERE collection_id = ?

-- name: log_embedded
INSERT INTO oplog (collection_id, op, chunk_id, space_id)
SELECT :collection, 2, c.id, :space
FROM documents d CROSS JOIN chunks c ON c.document_id = d.id
CROSS JOIN embeddings e ON e.space_id = :space AND e.content_hash = c.content_hash
WHERE d.collection_id = :collection ORDER BY c.id

-- name: drop_waiting_of_space
DELETE FROM waiting WHERE collection_id = ? AND space_id = ?

-- name: drop_queue_of_space
DELETE FROM queues WHERE collection_id = ? AND space_id = ?

-- name: hashes_of_space
SELECT content_hash FROM embeddings WHERE space_id = ? AND content_hash > ? ORDER BY content_hash LIMIT ?

-- Vectors that no collection uses in that space: a collection that uses it has a queue.
-- name: drop_embedding
DELETE FROM embeddings
WHERE space_id = :space AND content_hash = :hash
  AND NOT EXISTS (SELECT 1 FROM chunks c JOIN documents d ON d.id = c.document_id
                  JOIN queues q ON q.collection_id = d.collection_id AND q.space_id = :space
                  WHERE c.content_hash = :hash)

-- name: check_uses
SELECT count(*) FROM space_uses u
WHERE (u.role != 'dropping') != EXISTS (
    SELECT 1 FROM queues q WHERE q.collection_id = u.collection_id AND q.space_id = u.space_id)
