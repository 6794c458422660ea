"""A chat apart from how it is shown: its session, its model, its questions and answers."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, cast

from ...answer.conversation import Conversation
from ...answer.prompt import Earlier
from ...assemble import EVIDENCE_DEPTH, open_chats
from ...chat_types import ChatAnswer, ChatSession, ChatTurn, Cited, Found
from ...errors import NotFound, RagstoneError
from ...memory_types import ANSWERED, MEMORY, MemoryItem, Recall, SourceSpan
from ...observe.instruments import COST, PAGE
from ...types import Answer, AnswerEvent, Citation, Message
from .asking import about_earlier
from .recalled import names_a_time, of_its_time

if TYPE_CHECKING:
    from ...knowledge_base import KnowledgeBase
    from ..session import Session

EXTRACTIVE: Final = "extractive"
FROM_MEMORY: Final = "memory"
"""What stands for the model of an answer that was remembered."""
TICK: Final = 0.05
"""Seconds until a question notices that it is to stop."""
LAST_WAIT: Final = 2.0
"""Seconds that the end waits for a question that was stopped."""
RECALLED: Final = 5
NOT_REMEMBERED: Final = "memory holds nothing about it; this is from the documents"
REMEMBERED_QUESTION: Final = 200
REMEMBERED_ANSWER: Final = 300
"""Characters of a turn that memory keeps as an episode."""
LISTED: Final = 160
"""Characters of an item of memory in a list."""
_MARK: Final = re.compile(r"\s?\[\d+\]")
_BEFORE: Final = {"de": "Daran erinnere ich mich:", "en": "This is what I remember:"}


@dataclass(frozen=True, slots=True)
class Step:
    """Of an answer on its way. "stage": what is done now. "text": more of what a model writes. "void": what it wrote
    does not count, `text` says why. "end": `turn` is stored so; `text` is the answer where none came as "text"."""

    kind: Literal["stage", "text", "void", "end"]
    text: str = ""
    turn: ChatTurn | None = None


class Chat:
    """For one thread. Raises what the knowledge base raises."""

    def __init__(self, session: Session, kb: KnowledgeBase) -> None:
        self._session = session
        self.settings = session.settings
        self.kb = kb
        self.chats = open_chats(session.settings, kb)
        self.model = session.settings.answer.model
        self.collections = session.collections
        self.session: ChatSession | None = None
        self.name = ""
        """Of the session; one that is empty is not stored yet."""
        self.turns: list[ChatTurn] = []
        self._asker: threading.Thread | None = None
        self._conversation = Conversation()

    # ------------------------------------------------------------------ sessions
    def new(self, name: str = "") -> None:
        """Begins a session; it is stored with its first question."""
        from ...storage.chats import checked_name, free_name

        taken = [one.name for one in self.chats.sessions()]
        if name and name in taken:
            raise NotFound(f"there is a session {name!r} already.", f"`/sessions {name}` goes on with it.")
        self.name = checked_name(name) if name else free_name(f"{datetime.now().astimezone():%Y-%m-%d %H.%M}", taken)
        self.session, self.turns = None, []
        self._converse()

    def resume(self, name: str = "") -> None:
        """Goes on with the session of that name, or the one used last. Raises NotFound."""
        for one in self.chats.sessions():
            if not name or one.name == name:
                self.session, self.name = one, one.name
                self.turns = self.chats.turns(one.id)
                self._converse()
                return
        named = f"no session {name!r}" if name else "no session yet"
        raise NotFound(f"there is {named}.", "`ragstone chat --list` shows them.")

    def forget_session(self, name: str = "") -> int:
        """Forgets this session or that of the name, with what memory made of it; how many turns. Raises NotFound."""
        name = name or self.name
        found = next((one for one in self.chats.sessions() if one.name == name), None)
        if found is None:
            raise NotFound(f"there is no session {name!r}.", "`/sessions` lists them.")
        made = [turn.answer.remembered for turn in self.chats.turns(found.id) if turn.answer is not None]
        count = self.chats.forget(found.id)
        for item in filter(None, made):
            self.kb.memory.forget(item)
        if self.session is not None and self.session.id == found.id:
            self.new()
        return count

    def _converse(self) -> None:
        """A conversation that knows what was said in this session."""
        said: list[Message] = []
        for turn in self.turns:
            if turn.answer is not None and turn.answer.state == "answered" and turn.answer.model != FROM_MEMORY:
                said += [Message("user", turn.question), Message("assistant", _MARK.sub("", turn.answer.text))]
        self.kb.end(self._conversation)
        self._conversation = Conversation()
        self._conversation.earlier = Earlier(turns=tuple(said))

    # ------------------------------------------------------------------ what answers
    def use_model(self, model: str) -> None:
        """Answers with another model from now on; where it cannot be had, the former one stays. Raises SettingsError,
        ModelError."""
        kb = self._session.open_with(model)
        try:
            kb.model_status()  # the model is chosen now, not with the next question
            chats = open_chats(self.settings, kb)
        except BaseException:
            kb.close()
            raise
        self.close()
        self.kb, self.chats, self.model = kb, chats, model
        self._conversation = Conversation()
        self._converse()

    def use_collections(self, names: Sequence[str]) -> None:
        """None: all. Raises NotFound."""
        for name in names:
            self.kb.collection(name)
        self.collections = list(names) or None

    def close(self) -> None:
        self._settle()
        self.chats.close()
        self.kb.close()

    def _settle(self) -> None:
        """A question that was stopped gets a moment to notice."""
        if self._asker is not None:
            self._asker.join(LAST_WAIT)

    # ------------------------------------------------------------------ questions
    def last(self) -> ChatTurn:
        """Raises NotFound."""
        if not self.turns:
            raise NotFound("nothing was asked in this session yet.", "Ask a question first.")
        return self.turns[-1]

    def last_answer(self) -> ChatAnswer:
        """The latest that cites something, or else the latest. Raises NotFound."""
        answers = [turn.answer for turn in self.turns if turn.answer is not None]
        cited = [answer for answer in answers if answer.citations]
        if not answers:
            raise NotFound("there is no answer in this session yet.", "Ask a question first.")
        return (cited or answers)[-1]

    def ask(self, question: str, *, anew: bool = False, stopped: threading.Event | None = None) -> Iterator[Step]:
        """Stores the question, then the answer as far as it came: whole, until `stopped` is set (from any thread, and
        before the call as well), or until it failed, which is raised when it is stored. `anew`: no answer that was kept
        from before."""
        if self.session is None:
            self.session = self.chats.begin(self.name)
        turn = self.chats.ask(self.session.id, question)
        self.turns.append(turn)
        earlier = not anew and about_earlier(question)
        if earlier:
            yield Step("stage", "memory")
            recalled = self.recall(question)
            items = of_its_time(recalled)
            if items and (recalled.answerable >= ANSWERED or names_a_time(recalled)):
                answer = self._remembered_answer(recalled, items)
                yield Step("end", answer.text, self._store(turn, answer))
                return
        yield from self._answer(turn, anew, stopped or threading.Event(), earlier=earlier)

    def recall(self, question: str) -> Recall:
        return self.kb.memory.recall(question, k=RECALLED)

    def tell_recalled(self, question: str) -> Step:
        """What memory holds about it, as a turn of its own. Raises NotFound where that is nothing."""
        recalled = self.recall(question)
        items = of_its_time(recalled)
        if not items:
            raise NotFound("nothing like that is remembered.", "`/timeline` shows what is.")
        if self.session is None:
            self.session = self.chats.begin(self.name)
        turn = self.chats.ask(self.session.id, question)
        self.turns.append(turn)
        answer = self._remembered_answer(recalled, items)
        return Step("end", answer.text, self._store(turn, answer))

    def _answer(self, turn: ChatTurn, anew: bool, stopped: threading.Event, *, earlier: bool) -> Iterator[Step]:
        written, stage = "", ""
        cites: tuple[Citation, ...] = ()
        final: Answer | None = None
        notes: list[str] = []
        paid = _paid()
        state: Literal["stopped", "failed"] = "stopped"
        failure: RagstoneError | None = None
        try:
            for event in self._events(turn.question, anew, stopped):
                if event.kind == "stage":
                    if written and event.text == "extract":
                        yield Step("void", "the model broke off, or the documents do not support it")
                        written = ""
                    stage = event.text
                    yield Step("stage", stage)
                elif event.kind == "token" and stage == "generate":
                    written, cites = written + event.text, event.citations
                    yield Step("text", event.text)
                final = event.answer or final
        except RagstoneError as error:
            state, failure = "failed", error
            notes.append(str(error))
        if final is None:
            answer = ChatAnswer(written, state, notes=tuple(notes))
            if written:
                found = self._found(turn.question)
                answer = replace(answer, model=self.model, citations=self._cites(cites), found=found)
            self._converse()  # without what the model may still write
        else:
            answer = self._kept(final)
            if earlier:
                answer = replace(answer, notes=(NOT_REMEMBERED, *answer.notes))
            if written and final.text.strip() != written.strip():
                yield Step("void", "the answer was replaced")
                written = ""
        spent = _paid() - paid
        if spent or answer.prompt_tokens:
            answer = replace(answer, cost=spent)
        stored = self._store(turn, answer)
        if final is not None and final.answered and not earlier:
            stored = self._remember(stored)
        yield Step("end", "" if written else answer.text, stored)
        if failure is not None:
            raise failure

    def _events(self, question: str, anew: bool, stopped: threading.Event) -> Iterator[AnswerEvent]:
        """What comes until `stopped`. The answer is made on a thread of its own, so that a model that says nothing for
        minutes keeps nobody: stopped, the thread ends by itself with the model's next word or the deadline."""
        left = threading.Event()
        items: queue.SimpleQueue[AnswerEvent | BaseException | None] = queue.SimpleQueue()
        generating = self.model != EXTRACTIVE
        kb, conversation = self.kb, self._conversation if generating and not anew else None
        deadline = time.monotonic() + self.settings.answer.deadline

        def run() -> None:
            try:
                events = kb.ask_stream(
                    question, collections=self.collections, deadline=deadline, cache=not anew,
                    conversation=conversation,
                )  # fmt: skip
                for event in events:
                    if left.is_set():
                        cast("Generator[AnswerEvent, None, None]", events).close()
                        break
                    items.put(event)
                items.put(None)
            except BaseException as error:  # noqa: BLE001 - raised to who waits
                items.put(error)

        self._settle()
        self._asker = threading.Thread(target=run, name="ragstone-chat-answer", daemon=True)
        self._asker.start()
        try:
            while not stopped.is_set():
                try:
                    item = items.get(timeout=TICK)
                except queue.Empty:
                    continue
                if item is None:
                    return
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            left.set()

    def _kept(self, answer: Answer) -> ChatAnswer:
        return ChatAnswer(
            text=answer.text,
            language=answer.language,
            model=answer.model,
            citations=self._cites(answer.citations),
            unsupported=tuple(s.text for s in answer.sentences if not s.supported) if answer.answered else (),
            notes=answer.notes,
            timings=dict(answer.timings),
            prompt_tokens=answer.usage.prompt_tokens,
            cached_tokens=answer.usage.cached_tokens,
            completion_tokens=answer.usage.completion_tokens,
            found=self._found(answer.question),
        )

    def _cites(self, citations: Sequence[Citation]) -> tuple[Cited, ...]:
        """With the collection that each passage is in."""
        chunks = {chunk.id: chunk.collection for chunk in self.kb.store.chunks([c.chunk_id for c in citations])}
        return tuple(
            Cited(
                c.number, chunks.get(c.chunk_id, ""), c.uri, c.title, c.page, c.line, c.section, c.start, c.end,
                c.chunk_id,
            )
            for c in citations
        )  # fmt: skip

    def _found(self, question: str) -> tuple[Found, ...]:
        """The search that the answer was made from: the same one again, which memory has."""
        hits = self.kb.search(
            question, collections=self.collections, k=EVIDENCE_DEPTH, highlights=False
        ).hits
        return tuple(Found(h.chunk.id, h.score, h.parts.lexical, h.parts.dense, h.parts.rerank) for h in hits)

    def _remembered_answer(self, recalled: Recall, items: Sequence[MemoryItem]) -> ChatAnswer:
        from ...text.language import detect_query

        language = detect_query(recalled.question, ("de", "en"))
        lines = [
            f"- {day(item.at)}, {item.type or item.kind}: {shortened(item.text, LISTED)} [{n}]"
            for n, item in enumerate(items, 1)
        ]
        return ChatAnswer(
            text="\n".join([_BEFORE.get(language, _BEFORE["en"]), "", *lines]),
            language=language,
            model=FROM_MEMORY,
            citations=tuple(self._cited(n, item) for n, item in enumerate(items, 1)),
            notes=recalled.notes,
            timings=dict(recalled.timings),
        )

    def _cited(self, number: int, item: MemoryItem) -> Cited:
        documents = self.kb.store.memory.find([item.id])
        chunks = self.kb.store.document_chunks(documents[0]) if documents else []
        title = f"memory: {item.type or item.kind}, {day(item.at)}"
        return Cited(number, MEMORY, item.id, title, None, 1, (), 0, len(item.text), chunks[0].id if chunks else 0)

    def _store(self, turn: ChatTurn, answer: ChatAnswer) -> ChatTurn:
        stored = self.chats.answer(turn.id, answer)
        done = replace(turn, answer=answer if stored else None, withdrawn=not stored)
        self.turns[-1] = done
        return done

    def _remember(self, turn: ChatTurn) -> ChatTurn:
        """Makes an episode of it, which stands on the documents that the answer cites."""
        answer = turn.answer
        if answer is None or not self.settings.chat.remember:
            return turn
        said = shortened(_MARK.sub("", answer.text), REMEMBERED_ANSWER)
        text = f"{shortened(turn.question, REMEMBERED_QUESTION)} — {said}"
        sources = [SourceSpan(c.collection, c.uri, c.start, c.end) for c in answer.citations]
        told = self.kb.memory.remember(
            text, kind="episode", at=turn.at, sources=sources, idempotency_key=f"chat {turn.id}"
        )
        if told.outcome != "added":  # it belongs to who told it first
            return turn
        return self._store(turn, replace(answer, remembered=told.item.id))


def day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC).astimezone():%Y-%m-%d}"


def one_line(text: str) -> str:
    return " ".join(text.split())


def shortened(text: str, most: int) -> str:
    """On one line, of at most `most` characters."""
    line = one_line(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _paid() -> float:
    """Dollars that this process paid so far."""
    return sum(sum(values) for (name, *_), values in PAGE.read().items() if name == COST.name)
