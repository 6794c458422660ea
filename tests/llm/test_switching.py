"""Two real models where memory holds one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_models import end_server, smollm2
from ragstone.errors import ModelUnavailable
from ragstone.llm import schedule
from ragstone.llm.llama import LlamaServer
from ragstone.llm.local import LocalModels
from ragstone.types import Call, Message

ASK = [Message("user", "Say yes.")]


@pytest.fixture
def models(tmp_path: Path) -> Iterator[list[LlamaServer]]:
    """The same weights under two names, each with its own server."""
    made = []
    for name in ("one", "two"):
        file = tmp_path / f"{name}.gguf"
        file.symlink_to(smollm2())
        made.append(LlamaServer(file, context=512, state=tmp_path / "llama" / f"{name}.json"))
    yield made
    for model in made:
        model.close()
    for state in (tmp_path / "llama").glob("*.json"):
        end_server(state)


@pytest.mark.slow
def test_one_goes_for_the_other_and_the_cost_is_known(models: list[LlamaServer], tmp_path: Path) -> None:
    one, two = models
    local = LocalModels(tmp_path / "llama", memory=one.status().size * 3 // 2, opening=lambda: None)
    scheduled = [local.take(model) for model in models]

    def ask(number: int) -> None:
        assert list(scheduled[number].stream(ASK, Call(2)))[-1].finish

    ask(0)
    assert (one.status().loaded, two.status().loaded) == (True, False)
    threads = [threading.Thread(target=ask, args=(n,)) for n in (1, 0, 1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(model.status().loaded for model in models) == 1
    assert all((m.status().load_seconds or 1.0) > 0 for m in models)
    assert local._scheduler is not None
    assert local._scheduler.switch_seconds(two) > 0
    assert [s.name for s in local.status()] == ["one", "two"]


@pytest.mark.slow
def test_a_model_in_use_by_another_process_is_not_taken_away(
    models: list[LlamaServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "UNLOAD_SECONDS", 0.3)
    one, two = models
    one.load()
    local = LocalModels(tmp_path / "llama", memory=one.status().size, opening=lambda: None)
    first, second = local.take(one), local.take(two)
    assert list(first.stream(ASK, Call(2)))
    with one._in_use(), pytest.raises(ModelUnavailable, match="another process"):  # whose lock it is then
        list(second.stream(ASK, Call(2)))
    assert one.status().loaded
