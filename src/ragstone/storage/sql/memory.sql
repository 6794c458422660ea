-- Queries of memory, by name.

-- name: memory_collection
INSERT INTO collections (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET dropped = 0

-- ---------------------------------------------------------------- projects

-- name: memory_project
SELECT id FROM memory_projects WHERE name = ?

-- name: memory_make_project
INSERT INTO memory_projects (name, created) VALUES (?, ?) ON CONFLICT (name) DO NOTHING

-- name: memory_archive
UPDATE memory_projects SET archived = ? WHERE name = ?

-- name: memory_project_names
SELECT id, name, archived FROM memory_projects

-- name: memory_projects
SELECT p.name, p.created, p.archived,
       (SELECT count(*) FROM memory_items i WHERE i.project_id = p.id)
FROM memory_projects p ORDER BY p.name

-- ---------------------------------------------------------------- writing

-- name: memory_known_key
SELECT document_id FROM memory_tellings WHERE idempotency_key = ?

-- name: memory_same_words
SELECT document_id, type, at, who, participants FROM memory_items
WHERE project_id = ? AND kind = ? AND words = ? ORDER BY document_id

-- name: memory_of_value
SELECT document_id FROM memory_items WHERE project_id = ? AND folded_key = ? AND folded_value = ?

-- name: memory_of_uri
SELECT d.id FROM collections c JOIN documents d ON d.collection_id = c.id
WHERE c.name = ? AND d.uri = ?

-- name: memory_insert
INSERT INTO memory_items (document_id, project_id, kind, type, state, told, version, at, valid_from, told_at,
                          confidence, created, changed, words, folded_key, folded_value, key, value, who, intent,
                          outcome, participants, text_id)
VALUES (?, ?, ?, ?, 0, 1, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: memory_restand
UPDATE memory_items
SET type = ?, at = ?, valid_from = ?, confidence = ?, words = ?, folded_key = ?, folded_value = ?, key = ?, value = ?,
    who = ?, intent = ?, outcome = ?, participants = ?,
    text_id = (SELECT t.text_id FROM memory_tellings t WHERE t.id = ?)
WHERE document_id = ?

-- name: memory_tell
INSERT INTO memory_tellings (document_id, at, sourced, idempotency_key, item, text_id) VALUES (?, ?, ?, ?, ?, ?)

-- name: memory_source
INSERT INTO memory_sources (telling_id, document_id, bound, start, "end", collection, uri, content_hash, quote)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: memory_text
INSERT INTO memory_texts (project_id, asks, words, hash) VALUES (?, ?, ?, ?)
ON CONFLICT (project_id, asks, hash) DO UPDATE SET words = excluded.words RETURNING id

-- name: memory_text_vector
UPDATE memory_texts SET space = ?, vector = ? WHERE id = ?

-- name: memory_like
INSERT INTO memory_likenesses (one, other, similarity)
SELECT :text, id, :similarity FROM memory_texts
WHERE project_id = :project AND asks = :asks AND hash = :hash AND id <> :text
UNION ALL
SELECT id, :text, :similarity FROM memory_texts
WHERE project_id = :project AND asks = :asks AND hash = :hash AND id <> :text
ON CONFLICT DO NOTHING

-- name: memory_leader
SELECT d.uri, min(t.id) FROM memory_texts x CROSS JOIN memory_items i ON i.text_id = x.id
CROSS JOIN documents d ON d.id = i.document_id CROSS JOIN memory_tellings t ON t.document_id = i.document_id
WHERE x.project_id = ? AND x.asks = ? AND x.hash = ? GROUP BY i.document_id

-- name: memory_denied
SELECT d.uri FROM memory_contradictions c JOIN memory_items me ON me.document_id = c.one
JOIN memory_items i ON i.document_id = c.other JOIN documents d ON d.id = c.other
WHERE c.one = ? AND (i.told_at, i.document_id) < (me.told_at, me.document_id) ORDER BY d.uri

-- name: memory_touch
UPDATE memory_items SET version = ?, changed = ? WHERE document_id = ?

-- ---------------------------------------------------------------- states

-- name: memory_count_tellings
UPDATE memory_items SET told = t.told, told_at = t.told_at
FROM (SELECT count(*) AS told, max(at) AS told_at FROM memory_tellings WHERE document_id = :id) t
WHERE document_id = :id AND (memory_items.told, memory_items.told_at) <> (t.told, t.told_at)

-- name: memory_standing
SELECT i.state, i.valid_to, i.replaced_by, i.project_id, i.folded_key, i.told_at,
       (SELECT min(max(n.at, i.told_at)) FROM memory_contradictions c
        JOIN memory_items n ON n.document_id = c.other
        WHERE c.one = i.document_id AND (n.told_at, n.document_id) > (i.told_at, i.document_id)),
       EXISTS (SELECT 1 FROM memory_tellings t JOIN memory_sources s ON s.telling_id = t.id
               WHERE t.document_id = i.document_id AND s.gone),
       EXISTS (SELECT 1 FROM memory_tellings t WHERE t.document_id = i.document_id AND NOT t.sourced)
       OR EXISTS (SELECT 1 FROM memory_tellings t JOIN memory_sources s ON s.telling_id = t.id
                  WHERE t.document_id = i.document_id AND NOT s.gone)
FROM memory_items i WHERE i.document_id = ?

-- name: memory_next_of_key
SELECT document_id, max(at, :told_at) FROM memory_items
WHERE project_id = :project AND folded_key = :key AND (told_at, document_id) > (:told_at, :id)
ORDER BY told_at, document_id LIMIT 1

-- name: memory_stand
UPDATE memory_items SET state = ?, valid_to = ?, replaced_by = ? WHERE document_id = ?

-- name: memory_related
SELECT o.document_id FROM memory_items i JOIN memory_items o
ON o.project_id = i.project_id AND o.folded_key = i.folded_key
WHERE i.document_id = :id AND i.folded_key <> ''
UNION SELECT other FROM memory_contradictions WHERE one = :id

-- ---------------------------------------------------------------- groups

-- name: memory_texts_of_items
SELECT DISTINCT t.text_id FROM carray(?) wanted CROSS JOIN memory_tellings t ON t.document_id = wanted.value
WHERE t.text_id IS NOT NULL

-- name: memory_near_texts
SELECT l.one, l.other, l.similarity FROM carray(?) wanted CROSS JOIN memory_likenesses l ON l.one = wanted.value
WHERE l.similarity > 0.0

-- name: memory_words_of_texts
SELECT x.id, x.words FROM carray(?) wanted CROSS JOIN memory_texts x ON x.id = wanted.value

-- name: memory_texts_of_words
SELECT o.id FROM memory_texts x CROSS JOIN memory_texts o
ON o.project_id = x.project_id AND o.asks = x.asks AND o.words = x.words
WHERE x.id = ?

-- name: memory_tellings_of_texts
SELECT t.id, t.document_id, t.text_id, t.item FROM carray(?) wanted
CROSS JOIN memory_tellings t ON t.text_id = wanted.value ORDER BY t.id

-- name: memory_move_telling
UPDATE memory_tellings SET document_id = ? WHERE id = ?

-- name: memory_keep_telling
UPDATE memory_tellings SET item = ? WHERE id = ?

-- name: memory_standing_words
SELECT c.text, c.context, d.title, i.type, i.at, i.confidence, i.words, i.folded_key, i.folded_value, i.key, i.value,
       i.who, i.intent, i.outcome, i.participants
FROM memory_items i CROSS JOIN documents d ON d.id = i.document_id CROSS JOIN chunks c ON c.document_id = i.document_id
WHERE i.document_id = ?

-- name: memory_space_of_text
SELECT x.space, x.vector FROM memory_tellings t CROSS JOIN memory_texts x ON x.id = t.text_id
CROSS JOIN spaces s ON s.name = x.space WHERE t.id = ? AND x.vector <> x''

-- ---------------------------------------------------------------- sessions

-- name: memory_episode
SELECT i.project_id, i.at, i.who, c.text, d.uri, d.title
FROM memory_items i CROSS JOIN documents d ON d.id = i.document_id CROSS JOIN chunks c ON c.document_id = i.document_id
WHERE i.document_id = ? AND i.kind = 1

-- name: memory_previous
SELECT i.who, c.text FROM memory_items i CROSS JOIN chunks c ON c.document_id = i.document_id
WHERE i.kind = 1 AND i.project_id = :project AND i.at >= :since AND (i.at, i.document_id) < (:at, :id)
ORDER BY i.at DESC, i.document_id DESC LIMIT 1

-- name: memory_following
SELECT i.document_id FROM memory_items i
WHERE i.kind = 1 AND i.project_id = :project AND i.at <= :until AND (i.at, i.document_id) > (:at, :id)
ORDER BY i.at, i.document_id LIMIT 1

-- ---------------------------------------------------------------- sources

-- name: memory_bindable
SELECT d.id FROM collections c JOIN documents d ON d.collection_id = c.id
WHERE c.name = ? AND NOT c.dropped AND d.uri = ?

-- name: memory_any_source
SELECT 1 FROM memory_sources WHERE bound LIMIT 1

-- name: memory_sources_of_documents
SELECT s.id, s.document_id, s.start, s."end", s.content_hash, s.quote, s.gone, t.document_id
FROM carray(?) wanted
CROSS JOIN memory_sources s ON s.document_id = wanted.value
CROSS JOIN memory_tellings t ON t.id = s.telling_id

-- name: memory_move_source
UPDATE memory_sources SET start = ?, "end" = ?, gone = ? WHERE id = ?

-- name: memory_lost_sources
SELECT s.id, t.id, t.document_id FROM memory_sources s JOIN memory_tellings t ON t.id = s.telling_id
WHERE s.bound AND s.document_id IS NULL

-- name: memory_forget_source
DELETE FROM memory_sources WHERE id = ?

-- name: memory_stands
SELECT 1 FROM memory_sources WHERE telling_id = ?

-- name: memory_forget_telling
DELETE FROM memory_tellings WHERE id = ?

-- name: memory_first_telling
SELECT id, item, text_id FROM memory_tellings WHERE document_id = ? ORDER BY id LIMIT 1

-- ---------------------------------------------------------------- reading

-- name: memory_rows
SELECT i.document_id, c.id, i.project_id, i.kind, i.type, i.state, i.at, i.told_at, i.version, i.who, c."end"
FROM memory_items i CROSS JOIN chunks c ON c.document_id = i.document_id
WHERE i.version > ?

-- name: memory_items
SELECT i.document_id, d.uri, i.kind, i.type, c.text, p.name, i.key, i.value, i.at, i.valid_from, i.valid_to, i.who,
       i.participants, i.outcome, i.confidence, i.intent, i.told, i.state, r.uri, i.created, i.changed, i.told_at
FROM carray(?) wanted
CROSS JOIN memory_items i ON i.document_id = wanted.value
CROSS JOIN memory_projects p ON p.id = i.project_id
CROSS JOIN documents d ON d.id = i.document_id
CROSS JOIN chunks c ON c.document_id = i.document_id
LEFT JOIN documents r ON r.id = i.replaced_by

-- name: memory_sources_of_items
SELECT t.document_id, s.collection, s.uri, s.start, s."end", s.content_hash
FROM carray(?) wanted
CROSS JOIN memory_tellings t ON t.document_id = wanted.value
CROSS JOIN memory_sources s ON s.telling_id = t.id
ORDER BY t.id, s.id

-- name: memory_contradictions_of_items
SELECT x.one, d.uri FROM carray(?) wanted CROSS JOIN memory_contradictions x ON x.one = wanted.value
CROSS JOIN documents d ON d.id = x.other

-- name: memory_wordings
SELECT t.document_id, x.hash, x.space, x.vector,
       CASE min(t.item) WHEN '' THEN c.text ELSE json_extract(min(t.item), '$.text') END
FROM carray(?) wanted CROSS JOIN memory_tellings t ON t.document_id = wanted.value
CROSS JOIN memory_texts x ON x.id = t.text_id CROSS JOIN chunks c ON c.document_id = t.document_id
GROUP BY t.document_id, x.id ORDER BY min(t.id)

-- name: memory_history
SELECT document_id FROM memory_items WHERE project_id = ? AND folded_key = ? ORDER BY told_at DESC, document_id DESC

-- name: memory_counts
SELECT kind, type, state, count(*), sum(told) FROM memory_items GROUP BY kind, type, state

-- name: memory_told_at
SELECT type, told_at FROM memory_items WHERE state = 0 AND kind = 2

-- name: memory_contradiction_total
SELECT count(*) / 2 FROM memory_contradictions

-- name: memory_bytes
SELECT coalesce(sum(c.bytes), 0) FROM (
    SELECT length(CAST(c.text AS BLOB)) + length(CAST(c.context AS BLOB)) + 400
           + coalesce((SELECT sum(length(e.vector)) FROM embeddings e
                       WHERE e.space_id IN (SELECT id FROM spaces) AND e.content_hash = c.content_hash), 0) AS bytes
    FROM memory_items i JOIN chunks c ON c.document_id = i.document_id) c

-- ---------------------------------------------------------------- checks

-- name: check_memory_documents
SELECT count(*) FROM documents d JOIN collections c ON c.id = d.collection_id
WHERE c.name = ':memory' AND NOT EXISTS (SELECT 1 FROM memory_items i WHERE i.document_id = d.id)

-- name: check_memory_items
SELECT count(*) FROM memory_items i JOIN documents d ON d.id = i.document_id JOIN collections c ON c.id = d.collection_id
WHERE c.name <> ':memory' OR d.chunks <> 1
   OR NOT EXISTS (SELECT 1 FROM memory_tellings t WHERE t.document_id = i.document_id)

-- name: check_memory_texts
SELECT count(*) FROM memory_items i WHERE i.text_id IS NOT
    (SELECT t.text_id FROM memory_tellings t WHERE t.document_id = i.document_id ORDER BY t.id LIMIT 1)

-- name: check_memory_sources
SELECT count(*) FROM memory_sources WHERE bound AND document_id IS NULL
