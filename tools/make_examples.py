"""Records what the operations of the API answer, as examples for its description: src/ragstone/server/examples.json.

    python tools/make_examples.py       needs the extras `server` and `stress`
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import httpx2  # noqa: E402

from ragstone.stress.serving import served  # noqa: E402

TEXT = "The battery lasts eleven hours. It charges in two hours.\n\nThe pump in hall B needs new seals every spring."
LONGEST = 3
"""Items of a list that are shown."""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as server:
        headers = {"Authorization": f"Bearer {server.key}", "X-Deadline-Ms": "120000"}
        compared(Path(folder))
        with httpx2.Client(base_url=server.url, headers=headers, timeout=120) as http:
            answers = recorded(http)
    shown = {name: shortened(value) for name, value in sorted(answers.items())}
    path = ROOT / "src/ragstone/server/examples.json"
    path.write_text(json.dumps(shown, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(shown)} examples")


def compared(data: Path) -> None:
    """A comparison that can be rated, of one question."""
    subprocess.run(
        [sys.executable, "-m", "ragstone", "--data", str(data), "--quiet", "compare", "run", "--model", "first=extractive",
         "--model", "second=extractive", "--questions", "plant-en", "--limit", "1", "--repeats", "1",
         "--output", str(data / "comparisons/small-models")],
        check=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )  # fmt: skip


def recorded(http: httpx2.Client) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def call(name: str, method: str, path: str, **more: Any) -> Any:
        answer = http.request(method, path, **more)
        answer.raise_for_status()
        found[name] = answer.json()
        return found[name]

    call("createCollection", "POST", "/v1/collections", json={"name": "manuals"})
    texts = {"documents": [{"uri": "notes/1", "title": "Notes", "text": TEXT, "metadata": {"team": "harbour"}}]}
    call("uploadTexts", "POST", "/v1/collections/manuals/documents:batch", json=texts)
    pdf = (ROOT / "samples/compressor-manual.pdf").read_bytes()
    job = call("upload", "POST", "/v1/collections/manuals/documents?uri=compressor.pdf&wait=60", content=pdf)
    call("showJob", "GET", f"/v1/jobs/{job['id']}")
    call("listJobs", "GET", "/v1/jobs")
    call("listCollections", "GET", "/v1/collections")
    call("showCollection", "GET", "/v1/collections/manuals")
    documents = call("listDocuments", "GET", "/v1/collections/manuals/documents")["items"]
    document = next(d["id"] for d in documents if d["uri"] == "compressor.pdf")
    for name, rest in (("showDocument", ""), ("documentText", "/text?end=80"), ("documentChunks", "/chunks?limit=1"), ("documentPages", "/pages")):
        call(name, "GET", f"/v1/documents/{document}{rest}")
    graph_of(call, "/v1/collections/manuals/graph")
    page = found["documentPages"]["items"][0]
    call("pagePlaces", "GET", f"/v1/documents/{document}/pages/1/places", params={"start": page["start"], "end": page["start"] + 40})
    call("search", "POST", "/v1/search", json={"query": "How long does the battery last?", "k": 1})
    call("ask", "POST", "/v1/ask", json={"question": "How long does the battery last?"})
    chat = {"model": "ragstone", "messages": [{"role": "user", "content": "How long does the battery last?"}]}
    call("chatCompletion", "POST", "/v1/chat/completions", json=chat)
    models = call("models", "GET", "/v1/models")["data"]
    embedded = call("embeddings", "POST", "/v1/embeddings", json={"model": models[-1]["id"], "input": "A passage."})
    embedded["data"][0]["embedding"] = embedded["data"][0]["embedding"][:4]
    call("changeSpace", "POST", "/v1/collections/manuals/spaces", json={"action": "rollback"})
    call("fetchDocument", "POST", "/v1/collections/manuals/documents?uri=note.txt", content=b"A note.")
    call("cancelJob", "POST", f"/v1/jobs/{job['id']}/cancel")
    call("listComparisons", "GET", "/v1/comparisons")
    call("comparedQuestion", "GET", "/v1/comparisons/small-models/question")
    call("createProject", "POST", "/v1/memory/projects", json={"name": "press"})
    decision = {"text": "We keep the logs for 30 days.", "type": "decision", "project": "press"}
    item = call("remember", "POST", "/v1/memory", json=decision)["item"]["id"]
    fact = {"kind": "fact", "key": "retry limit", "value": "five", "project": "press"}
    call("rememberMany", "POST", "/v1/memory:batch", json={"items": [fact]})
    call("recall", "POST", "/v1/memory:recall", json={"question": "What did we decide about the logs?", "project": "press"})
    call("showMemory", "GET", f"/v1/memory/items/{item}")
    call("memoryHistory", "GET", "/v1/memory/history", params={"key": "retry limit", "project": "press"})
    call("timeline", "GET", "/v1/memory/timeline", params={"project": "press"})
    said = b'{"role": "user", "content": "We decided to use SQLite for the prototype."}\n'
    call("learn", "POST", "/v1/learn", params={"stream": "session-1"}, content=said)
    call("learnPlace", "GET", "/v1/learn", params={"stream": "session-1"})
    call("memoryStatistics", "GET", "/v1/memory/statistics")
    call("listProjects", "GET", "/v1/memory/projects")
    call("switchProject", "POST", "/v1/memory/projects:switch", json={"name": "press"})
    call("archiveProject", "POST", "/v1/memory/projects:archive", json={"name": "press"})
    call("forgetMany", "POST", "/v1/memory:forget", json={"project": "press"})
    call("intent", "POST", "/v1/intent", json={"texts": ["Der Build bricht schon wieder ab."]})
    turns = [{"text": "Run the tests again."}, {"text": "2 failed", "role": "tool", "failed": True}]
    call("trajectory", "POST", "/v1/trajectory", json={"turns": turns})
    found["retryJob"] = found["uploadTexts"]
    tenant = call("createTenant", "POST", "/v1/tenants", json={"name": "Sales"})["id"]
    call("setQuotas", "PUT", f"/v1/tenants/{tenant}/quotas", json={"documents": 10_000})
    call("createKey", "POST", "/v1/keys", json={"name": "intranet", "scopes": ["read"]})
    call("signIn", "POST", "/v1/session")
    for name, path in {
        "listSpaces": "/v1/spaces", "budget": "/v1/budget", "status": "/v1/status", "health": "/health", "ready": "/ready",
        "version": "/v1/version", "listKeys": "/v1/keys", "listTenants": "/v1/tenants", "audit": "/v1/audit",
        "showSession": "/v1/session", "waysToSignIn": "/v1/login", "series": "/v1/metrics/series",
    }.items():
        call(name, "GET", path)
    return found


def graph_of(call: Any, graph: str) -> None:
    call("buildGraph", "POST", f"{graph}:build?wait=60")
    call("deepenGraph", "POST", f"{graph}:deepen")
    call("graphStatus", "GET", graph)
    compressor = call("findEntities", "GET", f"{graph}/entities?q=compressor&limit=2")["entities"][0]["id"]
    near = call("showEntity", "GET", f"{graph}/entities/{compressor}?limit=2")["neighbours"]
    call("entityMentions", "GET", f"{graph}/entities/{compressor}/mentions?limit=1")
    call("showEdge", "GET", f"{graph}/entities/{compressor}/edges/{near[0]['id']}?limit=1")
    call("findPath", "GET", f"{graph}/path", params={"start": compressor, "end": near[1]["id"]})
    call("graphMap", "GET", f"{graph}/map?limit=3")
    call("graphCommunities", "GET", f"{graph}/communities?limit=1")
    call("explainEntities", "GET", f"{graph}/explanation", params={"a": compressor, "b": near[0]["id"]})
    made = call("mergeEntities", "POST", f"{graph}:merge", json={"a": compressor, "b": near[0]["id"]})["entities"][0]
    call("splitEntity", "POST", f"{graph}:split", json={"entity": made["id"], "alias": near[0]["name"]})
    call("graphDecisions", "GET", f"{graph}/decisions")
    call("withdrawDecision", "POST", f"{graph}:withdraw", json={"a": near[0]["name"]})


def shortened(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shortened(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shortened(item) for item in value[:LONGEST]]
    return value[:400] if isinstance(value, str) else value


if __name__ == "__main__":
    main()
