"""The official client of OpenAI's API against this server."""

from __future__ import annotations

import httpx2
import pytest

from server.conftest import Running

openai = pytest.importorskip("openai", reason="pip install 'ragstone[dev]' brings the client")


@pytest.fixture
def client(running: Running, filled: httpx2.Client) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key("read"), max_retries=0)


def test_a_completion_has_citations(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": "How long does the battery last?"}]
    answer = client.chat.completions.create(model="ragstone/default", messages=messages)
    assert "eleven hours" in answer.choices[0].message.content
    assert answer.choices[0].message.annotations[0].url_citation.title == "battery"


def test_a_streamed_completion(client: openai.OpenAI) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "How long does the battery last?"}]}]
    chunks = list(client.chat.completions.create(model="ragstone", messages=messages, stream=True))
    assert "eleven hours" in "".join(c.choices[0].delta.content or "" for c in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_models_and_embeddings(client: openai.OpenAI) -> None:
    assert "ragstone/default" in [model.id for model in client.models.list()]
    made = client.embeddings.create(model="hash", input=["one text", "another"])
    assert len(made.data) == 2
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="other", input="x")
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="rgs_wrong").models.list()
