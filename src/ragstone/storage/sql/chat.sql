-- Queries of chats, by name.

-- name: chat_sessions
SELECT s.uid, s.name, s.created, s.changed,
       (SELECT count(*) FROM chat_turns t WHERE t.session_id = s.id),
       (SELECT t.question FROM chat_turns t WHERE t.session_id = s.id ORDER BY t.at, t.id LIMIT 1)
FROM chat_sessions s ORDER BY s.changed DESC, s.id DESC

-- name: chat_session
SELECT id FROM chat_sessions WHERE uid = ?

-- name: chat_names
SELECT name FROM chat_sessions

-- name: chat_begin
INSERT INTO chat_sessions (uid, name, created, changed) VALUES (?, ?, ?, ?)

-- name: chat_touch
UPDATE chat_sessions SET changed = max(changed, ?) WHERE id = ?

-- name: chat_forget
DELETE FROM chat_sessions WHERE uid = ?

-- name: chat_turns
SELECT t.uid, t.at, t.question, t.answer, t.withdrawn FROM chat_turns t JOIN chat_sessions s ON s.id = t.session_id
WHERE s.uid = ? ORDER BY t.at, t.id

-- name: chat_questions
SELECT question FROM chat_turns GROUP BY question ORDER BY max(at) DESC LIMIT ?

-- name: chat_ask
INSERT INTO chat_turns (uid, session_id, at, question) VALUES (?, ?, ?, ?)

-- name: chat_turn
SELECT id, session_id FROM chat_turns WHERE uid = ?

-- name: chat_answer
UPDATE chat_turns SET answer = ?, withdrawn = ?, shared = 0 WHERE id = ?

-- name: chat_chunks_there
SELECT count(*) FROM carray(?) a JOIN chunks c ON c.id = a.value

-- name: chat_unbind
DELETE FROM chat_passages WHERE turn_id = ?

-- name: chat_bind
INSERT INTO chat_passages (chunk_id, turn_id) VALUES (?, ?)

-- name: chat_unshared
SELECT s.uid, s.name, s.created, t.uid, t.at, t.question, t.answer, t.withdrawn
FROM chat_turns t JOIN chat_sessions s ON s.id = t.session_id WHERE NOT t.shared ORDER BY t.id

-- name: chat_shared
UPDATE chat_turns SET shared = 1
WHERE uid = :uid AND withdrawn = :withdrawn AND answer IS :answer

-- name: chat_unshare_all
UPDATE chat_turns SET shared = 0

-- name: chat_import
INSERT INTO chat_turns (uid, session_id, at, shared, imported, withdrawn, question, answer)
VALUES (?, ?, ?, 1, 1, ?, ?, ?)
ON CONFLICT (uid) DO UPDATE SET answer = excluded.answer, withdrawn = excluded.withdrawn, shared = 1
WHERE imported AND shared

-- name: chat_keep_forgotten
INSERT INTO chat_forgotten (uid) VALUES (?) ON CONFLICT DO NOTHING

-- name: chat_forgotten
SELECT uid FROM chat_forgotten

-- name: chat_told_forgotten
DELETE FROM chat_forgotten WHERE uid = ?
