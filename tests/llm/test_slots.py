"""One slot for each conversation: its next question computes only what is new, also after others came in between, after
the server was unloaded, and never from what was removed."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_models import end_server, smollm2
from ragstone.errors import DeadlineExceeded, ModelError, PromptTooLong
from ragstone.llm.llama import LlamaServer, forget_prompts
from ragstone.llm.slots import PATIENCE_SECONDS, SAVED, SAVED_SECONDS, Slots, bound, forget, read
from ragstone.types import Call, Message, Usage

FACTS = "The pump runs at 3 bar. The valve closes at 80 degrees. The filter is changed every month. "


@pytest.fixture(scope="module")
def llm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaServer]:
    """Two slots, conversations kept on the disk."""
    state = tmp_path_factory.mktemp("llama") / "model.json"
    server = LlamaServer(smollm2(), context=1024, slots=2, state=state)
    yield server
    server.close()
    end_server(state)


def asked(llm: LlamaServer, conversation: str, *more: str, purpose: str = "chat") -> Usage:
    """Tokens of a question about a system prompt that differs by conversation from its first word on."""
    turns = [Message("assistant" if n % 2 else "user", text) for n, text in enumerate(("How many bar?", *more))]
    messages = [Message("system", f"{conversation}: {FACTS * 2}"), *turns]
    call = Call(4, conversation=conversation, purpose=purpose)  # type: ignore[arg-type]
    usage = list(llm.stream(messages, call))[-1].usage
    assert usage is not None
    return usage


def files(llm: LlamaServer) -> list[Path]:
    assert llm._folder is not None
    return sorted(llm._folder.glob(f"*{SAVED}"))


@pytest.mark.slow
def test_a_conversation_keeps_its_prefix_through_everything_but_a_removal(llm: LlamaServer) -> None:
    first = asked(llm, "anna")
    again = asked(llm, "anna", "Three.", "And the valve?")
    assert first.cached_tokens < 30
    assert again.cached_tokens >= first.prompt_tokens - 8  # up to the turn where the model's own words stood
    asked(llm, "bert")
    asked(llm, "carl")  # two slots: anna leaves hers and is saved
    saved, *others = files(llm)  # of other tests too, which share the server
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in (saved, *others))
    back = asked(llm, "anna", "Three.", "And the valve?", "At 80.", "And the filter?")
    assert back.cached_tokens >= again.prompt_tokens - 8
    pid = llm.status().ram and llm._running and llm._running.warm.pid
    assert llm.unload()
    assert not llm.status().loaded
    assert {r.conversation for r in read(saved.parent) if r.child == pid} <= {"anna", "carl", "bert"}
    asked(llm, "anna", "Three.", "And the valve?")
    status = llm.status()
    assert status.loaded
    assert status.hit_rate > 0.8, "restored from the disk into a new server"
    assert status.ram > status.size // 2
    assert forget_prompts(saved.parent.parent) > 0
    assert files(llm) == []
    assert asked(llm, "anna", "Three.", "And the valve?").cached_tokens == 0
    llm.end("anna")
    assert llm.status().conversations == 0
    assert forget_prompts(saved.parent.parent, erase=True) == 0


@pytest.mark.slow
def test_work_in_the_background_leaves_questions_their_slot(llm: LlamaServer) -> None:
    first = asked(llm, "dora")
    for n in range(3):
        asked(llm, f"work {n}", purpose="extraction")
    assert asked(llm, "dora").cached_tokens >= first.prompt_tokens - 8


@pytest.mark.slow
def test_a_prompt_is_counted_and_refused_before_it_is_computed(llm: LlamaServer) -> None:
    window = llm.context
    assert window == 1024
    with pytest.raises(PromptTooLong, match="1024") as caught:
        list(llm.stream([Message("user", "wort " * 1100)], Call(8)))
    assert caught.value.hint
    assert list(llm.stream([Message("user", "word " * (window - 60))], Call(2)))[-1].finish
    with pytest.raises(PromptTooLong):
        list(llm.stream([Message("user", "word")], Call(window)))


@pytest.mark.slow
def test_loading_ahead_leaves_nothing_to_load(llm: LlamaServer) -> None:
    llm.unload()
    seconds = llm.load([Message("system", FACTS)])
    assert seconds > 0
    assert llm.load() == 0.0
    usage = list(llm.stream([Message("system", FACTS), Message("user", "Yes?")], Call(2)))[-1].usage
    assert usage is not None
    assert usage.cached_tokens > 10, "the beginning that prompts share is computed"


# ---------------------------------------------------------------- the rules themselves, with the server's part noted
class Server:
    """Notes what a server would be asked to do, and writes the files it would write."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.acts: list[tuple[int, str]] = []
        self.fails = False

    def __call__(self, number: int, action: str, file: str) -> None:
        self.acts.append((number, action))
        if self.fails:
            raise ModelError("no")
        if action == "save":
            (self.folder / file).write_bytes(b"x" * 100)


def slots(folder: Path, server: Server, *, count: int = 2, saved: int = 1000, child: int = 1) -> Slots:
    return Slots(folder, count, child=child, model="m", act=server, saved_bytes=saved)


def use(made: Slots, conversation: str, **call: object) -> int:
    with made.hold(Call(1, conversation=conversation, **call)) as held:  # type: ignore[arg-type]
        held.count(Usage(10, 1, cached_tokens=5))
        return held.number


def test_the_longest_unused_leaves_and_comes_back(tmp_path: Path) -> None:
    server = Server(tmp_path)
    made = slots(tmp_path, server)
    assert [use(made, name) for name in ("a", "b", "a", "c")] == [0, 1, 0, 1]
    assert server.acts == [(1, "save")]
    assert use(made, "b") == 0
    assert server.acts[1:] == [(0, "save"), (0, "restore")]
    assert sorted(r.conversation for r in made.records()) == ["b", "c"]


def test_files_are_bounded_by_bytes_and_age(tmp_path: Path) -> None:
    server = Server(tmp_path)
    made = slots(tmp_path, server, count=1, saved=250)
    for name in "abcdef":
        use(made, name)
    assert sum(p.stat().st_size for p in tmp_path.glob(f"*{SAVED}")) <= 250
    for path in tmp_path.glob(f"*{SAVED}"):
        os.utime(path, (1, time.time() - SAVED_SECONDS - 5))
    assert bound(tmp_path, 10_000) > 0
    assert list(tmp_path.glob(f"*{SAVED}")) == []


def test_nothing_is_saved_where_nothing_may_be_kept(tmp_path: Path) -> None:
    server = Server(tmp_path)
    made = slots(tmp_path, server, count=1, saved=0)
    use(made, "a")
    use(made, "b")
    assert server.acts == []


def test_what_was_removed_is_neither_restored_nor_saved(tmp_path: Path) -> None:
    server = Server(tmp_path)
    made = slots(tmp_path, server, count=1)
    use(made, "a")
    use(made, "b")
    assert forget(tmp_path) == 100
    server.acts.clear()
    use(made, "a")
    assert server.acts == [(0, "erase")], "b was not saved, a not restored"
    with made.hold(Call(1, conversation="a")):
        forget(tmp_path)
    server.acts.clear()
    use(made, "c")
    assert server.acts == [(0, "erase")]


def test_a_removal_while_a_slot_is_saved_leaves_no_file(tmp_path: Path) -> None:
    class Removing(Server):
        def __call__(self, number: int, action: str, file: str) -> None:
            if action == "save":
                forget(self.folder)
            super().__call__(number, action, file)

    made = slots(tmp_path, Removing(tmp_path), count=1)
    use(made, "a")
    use(made, "b")
    assert list(tmp_path.glob(f"*{SAVED}")) == []


def test_a_server_that_cannot_save_costs_time_alone(tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.fails = True
    made = slots(tmp_path, server, count=1)
    assert [use(made, name) for name in "aba"] == [0, 0, 0]


def test_another_server_has_empty_slots(tmp_path: Path) -> None:
    server = Server(tmp_path)
    use(slots(tmp_path, server), "a")
    later = slots(tmp_path, server, child=2)
    assert later.records() == []
    assert use(later, "b") == 0
    assert server.acts == []


def test_a_slot_in_use_is_waited_for_until_the_deadline(tmp_path: Path) -> None:
    made = slots(tmp_path, Server(tmp_path), count=1)
    with made.hold(Call(1, conversation="a")), pytest.raises(DeadlineExceeded):
        use(made, "b", deadline=time.monotonic() + 0.05)
    assert use(made, "b", deadline=time.monotonic() + 5) == 0


def test_a_waiting_question_goes_before_work_of_any_process(tmp_path: Path) -> None:
    made = slots(tmp_path, Server(tmp_path), count=1)
    order: list[str] = []

    def run(name: str, purpose: str) -> None:
        with slots(tmp_path, Server(tmp_path), count=1).hold(Call(1, conversation=name, purpose=purpose)):  # type: ignore[arg-type]
            order.append(name)

    with made.hold(Call(1)):
        work = threading.Thread(target=run, args=("work", "extraction"))
        work.start()
        time.sleep(0.1)
        question = threading.Thread(target=run, args=("question", "chat"))
        question.start()
        time.sleep(0.1)
    work.join()
    question.join()
    assert order == ["question", "work"]
    assert PATIENCE_SECONDS > 0


def test_a_damaged_record_is_an_empty_slot(tmp_path: Path) -> None:
    made = slots(tmp_path, Server(tmp_path), count=1)
    use(made, "a")
    (tmp_path / "0.slot").write_text("{")
    assert use(made, "b") == 0
