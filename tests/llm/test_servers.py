"""The adapters against servers that behave as servers do: refusals, quirks, cuts, silence."""

from __future__ import annotations

import socket
import time

import pytest

from model_servers import WORDS, OllamaHandler, OpenAIHandler, OtherHandler, Script, serving
from ragstone.errors import DeadlineExceeded, ModelError, ModelMissing, ModelUnavailable, PromptTooLong, SettingsError
from ragstone.llm import find_llm
from ragstone.llm.ollama import OllamaChat
from ragstone.llm.openai import DEFAULT_CONTEXT, OpenAIChat
from ragstone.types import Call, Delta, Message, Usage

ASK = [Message("user", "Wie hoch?")]
TEXT = "".join(WORDS)


def said(deltas: list[Delta]) -> str:
    return "".join(d.text for d in deltas)


@pytest.mark.parametrize("piece", [1, 3, 7, 1000])
def test_chunks_of_any_size(piece: int) -> None:
    with serving(OpenAIHandler, Script(piece=piece)) as url:
        deltas = list(OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(50)))
    assert said(deltas) == TEXT
    assert deltas[-1] == Delta(finish="stop", usage=Usage(7, 6))


def test_usage_is_estimated_where_the_server_does_not_tell() -> None:
    with serving(OpenAIHandler, Script(usage=False)) as url:
        last = list(OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(50)))[-1]
    assert last.usage == Usage(3, 6, estimated=True)
    with serving(OllamaHandler, Script(usage=False)) as url:
        last = list(OllamaChat(url, "m").stream(ASK, Call(50)))[-1]
    assert last.usage == Usage(3, 6, estimated=True)


def test_tokens_that_the_server_had_computed_are_told() -> None:
    with serving(OpenAIHandler, Script(cached=5)) as url:
        last = list(OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(50)))[-1]
    assert last.usage == Usage(7, 6, cached_tokens=5)


def test_a_key_is_sent_as_bearer_and_only_when_set() -> None:
    script = Script()
    with serving(OpenAIHandler, script) as url:
        list(OpenAIChat(f"{url}/v1", "m", api_key="geheim").stream(ASK, Call(50)))
        list(OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(50)))
    assert [headers.get("authorization") for _, _, headers in script.requests] == ["Bearer geheim", None]


def test_options_a_server_does_not_know_are_left_out_from_then_on() -> None:
    message = '{"error": {"message": "Unsupported parameter: %s"}}'
    script = Script(refuse=[(400, message % "stream_options"), (400, message % "temperature")])
    with serving(OpenAIHandler, script) as url:
        llm = OpenAIChat(f"{url}/v1", "m")
        assert said(list(llm.stream(ASK, Call(50)))) == TEXT
        list(llm.stream(ASK, Call(50)))
    assert [set(body) & {"stream_options", "temperature"} for _, body, _ in script.requests] == [
        {"stream_options", "temperature"},
        {"temperature"},
        set(),
        set(),
    ]


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [(400, ModelError, False), (401, ModelError, False), (404, ModelMissing, False), (429, ModelUnavailable, True),
     (503, ModelUnavailable, True)],
)  # fmt: skip
def test_refusals_are_typed_and_quote_the_server(status: int, kind: type[ModelError], retryable: bool) -> None:
    for handler, make in ((OpenAIHandler, OpenAIChat), (OllamaHandler, lambda u, m: OllamaChat(u, m, context=512))):
        script = Script(refuse=[(status, '{"error": "so  nicht"}')])
        with serving(handler, script) as url, pytest.raises(kind, match="so nicht") as caught:
            list(make(url, "m").stream(ASK, Call(50)))
        assert caught.value.retryable is retryable
        assert caught.value.hint


@pytest.mark.parametrize("cut", range(1, 8))
def test_a_cut_stream_is_an_error_never_a_short_answer(cut: int) -> None:
    with serving(OpenAIHandler, Script(cut=cut)) as url, pytest.raises(ModelUnavailable):
        list(OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(50)))
    with serving(OllamaHandler, Script(cut=cut - 1)) as url, pytest.raises(ModelUnavailable):
        list(OllamaChat(url, "m", context=512).stream(ASK, Call(50)))


def test_a_stream_that_ends_without_saying_so_is_an_error() -> None:
    body = b'data: {"choices": [{"delta": {"content": "Die"}}]}\n\n'
    with serving(OpenAIHandler, Script(raw=body)) as url, pytest.raises(ModelUnavailable, match="broke off"):
        list(OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(50)))


@pytest.mark.parametrize(
    "raw",
    [
        *(b"data: {bad\n\n", b'data: {"error": {"message": "out of memory"}}\n\n', b"data: 3\n\n"),
        *(b'data: {"choices": ["x"]}\n\n', b'data: {"choices": 3}\n\n', b'data: {"choices": [{"delta": "x"}]}\n\n'),
        *(b'data: {"choices": [{"delta": {"content": 5}}]}\n\n', b"data: " + b"[" * 100_000 + b"\n\n"),
    ],
)
def test_garbage_and_errors_inside_a_stream(raw: bytes) -> None:
    with serving(OpenAIHandler, Script(raw=raw)) as url, pytest.raises(ModelError):
        list(OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(50)))


@pytest.mark.parametrize(
    "raw",
    [
        *(b"{bad\n", b'{"error": "out of memory"}\n', b"[1]\n", b'{"message": "x"}\n', b"[" * 100_000 + b"\n"),
        *(b'{"message": {"content": 5}}\n', b'{"message": {"content": ["a"]}, "done": true}\n'),
    ],
)
def test_garbage_and_errors_inside_ndjson(raw: bytes) -> None:
    with serving(OllamaHandler, Script(raw=raw)) as url, pytest.raises(ModelUnavailable):
        list(OllamaChat(url, "m", context=512).stream(ASK, Call(50)))


def test_a_server_that_does_not_stream() -> None:
    body = b'{"choices": [{"message": {"content": "Drei."}, "finish_reason": "stop"}]}'
    with serving(OpenAIHandler, Script(raw=body, content_type="application/json")) as url:
        assert said(list(OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(50)))) == "Drei."


@pytest.mark.parametrize("name", ["openai", "ollama"])
def test_a_deadline_cuts_a_slow_drip(name: str) -> None:
    script = Script(words=("so ",) * 2000, pause=0.01)
    with serving(OpenAIHandler if name == "openai" else OllamaHandler, script) as url:
        llm = OpenAIChat(f"{url}/v1", "m") if name == "openai" else OllamaChat(url, "m")
        started = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            list(llm.stream(ASK, Call(5000, started + 0.3)))
        assert script.stopped.wait(10), "the server goes on writing"


def test_a_deadline_cuts_silence() -> None:
    with serving(OpenAIHandler, Script(pause=3.0)) as url, pytest.raises(DeadlineExceeded):
        list(OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(50, time.monotonic() + 0.3)))


def test_closing_the_iterator_stops_the_server() -> None:
    script = Script(words=("so ",) * 2000, pause=0.005)
    with serving(OpenAIHandler, script) as url:
        deltas = OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(5000))
        next(iter(deltas))
        deltas.close()  # type: ignore[attr-defined]
        assert script.stopped.wait(10)


def test_nobody_there() -> None:
    with serving(OpenAIHandler, Script()) as url:
        pass
    with pytest.raises(ModelUnavailable, match="does not answer") as caught:
        list(OpenAIChat(f"{url}/v1", "m").stream(ASK, Call(50)))
    assert "/v1" not in caught.value.message


@pytest.mark.parametrize("url", ["127.0.0.1:8080/v1", "ftp://127.0.0.1/v1", "http://[::1/v1"])
def test_bad_addresses(url: str) -> None:
    with pytest.raises(ModelError) as caught:
        list(OpenAIChat(url, "m").stream(ASK, Call(50)))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("entry", "window"),
    [({"id": "m", "max_model_len": 32768}, 32768), ({"id": "m", "meta": {"n_ctx": 1024, "n_ctx_train": 8192}}, 1024),
     ({"id": "m"}, DEFAULT_CONTEXT), ({"id": "other", "max_model_len": 5}, DEFAULT_CONTEXT)],
)  # fmt: skip
def test_the_window_comes_from_the_list_of_models(entry: dict[str, object], window: int) -> None:
    with serving(OpenAIHandler, Script(models=[entry])) as url:
        assert OpenAIChat(f"{url}/v1", "m").context == window


def test_ollama_takes_what_is_loaded_and_keeps_its_window() -> None:
    script = Script(
        models=[{"name": "new:latest", "modified_at": "2026-11-02"}, {"name": "old:1b", "modified_at": "2026-01-01"}],
        loaded=[{"name": "all-embed:latest"}, {"name": "old:1b", "context_length": 16384}],
    )
    with serving(OllamaHandler, script) as url:
        llm = OllamaChat(url, keep_alive="-1")
        assert (llm.name, llm.context) == ("old:1b", 16384)
        list(llm.stream(ASK, Call(50)))
        path, body, _ = script.requests[-1]
    assert path == "/api/chat"
    assert body["keep_alive"] == -1
    assert body["options"] == {"num_ctx": 16384, "num_predict": 50, "temperature": 0.0}
    assert (body["truncate"], body["shift"], "format" in body) == (False, False, False)


def test_ollama_loads_with_the_options_of_its_calls_and_tells_its_memory() -> None:
    script = Script(models=[{"name": "m:latest", "modified_at": "2026", "size": 5}])
    with serving(OllamaHandler, script) as url:
        llm = OllamaChat(url, "m", keep_alive="30m", threads=3)
        llm.load()
        loading = next(body for path, body, _ in script.requests if path == "/api/generate")
        assert loading == {"model": "m", "keep_alive": "30m", "options": {"num_ctx": 8192, "num_thread": 3}}
        status = llm.status()
    assert (status.size, status.ram, status.vram, status.context) == (5, 2_000_000, 1_000_000, 8192)
    assert status.expires == pytest.approx(1795253400.123456)


def test_ollama_is_given_the_schema_of_the_answer() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    script = Script()
    with serving(OllamaHandler, script) as url:
        list(OllamaChat(url, "m", context=512).stream(ASK, Call(50, schema=schema)))
    assert script.requests[-1][1]["format"] == schema


def test_ollama_never_answers_to_a_prompt_that_was_cut() -> None:
    script = Script(window=50, models=[{"name": "m:latest"}])
    with serving(OllamaHandler, script) as url:
        llm = OllamaChat(url, "m", context=512)
        with pytest.raises(PromptTooLong, match="512") as caught:
            list(llm.stream([Message("user", "wort " * 60)], Call(50)))
        assert caught.value.hint
        before = len(script.requests)
        with pytest.raises(PromptTooLong):
            list(llm.stream([Message("user", "wort " * 2000)], Call(50)))
        assert len(script.requests) == before, "certainly too long: not sent"
    body = b'{"message":{"content":"a"},"done":true,"prompt_eval_count":512,"eval_count":1}\n'
    with serving(OllamaHandler, Script(raw=body)) as url, pytest.raises(PromptTooLong, match="cut"):
        list(OllamaChat(url, "m", context=512).stream(ASK, Call(50)))


def test_ollama_takes_the_newest_otherwise_with_a_modest_window() -> None:
    models = [{"name": "old:1b", "modified_at": "2026-01-01"}, {"name": "new:latest", "modified_at": "2026-11-02"}]
    with serving(OllamaHandler, Script(models=models)) as url:
        llm = OllamaChat(url)
        assert (llm.name, llm.context) == ("new:latest", 8192)
    with serving(OllamaHandler, Script(models=[{"name": "an-embed"}])) as url, pytest.raises(ModelMissing):
        assert OllamaChat(url).name


def test_auto_prefers_ollama_then_servers_then_settings_then_nothing() -> None:
    model = {"name": "m:latest", "modified_at": "2026"}
    with (
        serving(OllamaHandler, Script(models=[model])) as ollama,
        serving(OllamaHandler, Script()) as empty,
        serving(OpenAIHandler, Script(models=[{"id": "served"}])) as server,
    ):
        found = find_llm("auto", ollama_url=ollama, servers=[f"{server}/v1"])
        assert isinstance(found, OllamaChat)
        found = find_llm("auto", ollama_url=empty, servers=[f"{empty}/v1", f"{server}/v1"])
        assert isinstance(found, OpenAIChat)
        assert found.name == "served"
        found = find_llm("auto", model="mine", base_url="https://models.example/v1", ollama_url=empty, servers=[])
        assert isinstance(found, OpenAIChat)
        assert found.name == "mine"
        assert find_llm("auto", ollama_url=empty, servers=[]) is None


@pytest.mark.parametrize(
    "answer",
    [
        *("[]", "3", '{"models": ["x"], "data": ["x"]}', '{"models": {"a": 1}, "data": {"a": 1}}', "[" * 100_000),
        *('{"models": 3, "data": 3}', '{"data": [{"id": null}]}', '{"models": [{"name": "m", "details": "x"}]}'),
    ],
)
def test_auto_passes_over_a_server_of_another_kind(answer: str) -> None:
    """Something else may listen where a model server listens by default."""
    with serving(OtherHandler, Script(raw=answer.encode())) as url:
        found = find_llm("auto", ollama_url=url, servers=[f"{url}/v1"])
        assert found is None or (isinstance(found, OllamaChat) and found.name == "m" and found.context > 0)
        with pytest.raises(ModelError):
            _ = OpenAIChat(f"{url}/v1").name


def test_auto_passes_over_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert find_llm("auto", ollama_url=url, servers=[f"{url}/v1"]) is None


def test_a_question_that_is_not_unicode_is_refused_as_such() -> None:
    with serving(OpenAIHandler, Script()) as url, pytest.raises(ModelError, match="Unicode"):
        list(OpenAIChat(f"{url}/v1", "m").stream([Message("user", "\udcff")], Call(5)))


def test_auto_probes_loopback_only() -> None:
    script = Script(models=[{"id": "served"}])
    with serving(OpenAIHandler, script) as url:
        elsewhere = url.replace("127.0.0.1", "ragstone.invalid")
        assert find_llm("auto", ollama_url=elsewhere, servers=[f"{elsewhere}/v1"]) is None
        assert find_llm("extractive", servers=[f"{url}/v1"]) is None
    assert script.requests == []


@pytest.mark.parametrize("choice", ["openai", "llama", "magic"])
def test_a_choice_that_lacks_something(choice: str) -> None:
    with pytest.raises(SettingsError) as caught:
        find_llm(choice)  # type: ignore[arg-type]
    assert caught.value.hint
