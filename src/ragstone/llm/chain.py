"""Several providers as one LLM: the first that may and can answers; a dead one costs milliseconds, never the answer.

Who is asked: the entries of the call's purpose, in order, without those whose conditions the call does not meet and
those whose breaker rests. A failure before the first text goes on to the next entry; after it the answer cannot be
taken over by another model, so the stream ends in that failure. When every entry failed, those that may come back are
asked once more after a random pause, if the retry budget and the deadline allow it.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..errors import PriceUnknown, PromptTooLong, RagstoneError
from ..protocols import LLM
from ..text.language import detect
from ..types import Call, Delta, Message, Purpose
from .attempt import Attempt, Unsent
from .breaker import Breaker, BreakerFigures, RetryBudget, State
from .race import race
from .verdict import Said, verdict

CHARACTERS_PER_TOKEN = 2.5  # as answer/prompt.py counts: an upper estimate for German in an English vocabulary
MESSAGE_TOKENS = 8  # role marks of one message
DEFAULT_CONTEXT = 8_192
BACKOFF_SECONDS = 0.25  # longest random pause before everybody is asked again
LONGEST_WAIT = 2.0  # seconds; a provider that wants more is not waited for


@dataclass(frozen=True, slots=True)
class Conditions:
    """When an entry may be asked. `context`: its window, which prompt and answer have to fit (0: not checked).
    `languages` of the question (ISO 639-1; none: any). `local`: it runs on this machine. `max_cost` of one call at
    worst. `first_token`: seconds until it has to begin, instead of the policy's (0: any time)."""

    context: int = 0
    languages: tuple[str, ...] = ()
    local: bool = False
    max_cost: float | None = None
    first_token: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """`cost` tells what a call with so many tokens of prompt and answer costs; None where no price is known."""

    name: str
    llm: LLM
    conditions: Conditions = Conditions()
    cost: Callable[[int, int], float | None] | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """`first_token`: seconds in which an entry has to begin while another could be asked instead, and never more than
    half of what is left of the deadline; models on this machine, which may have to be loaded, have that half unless
    their own conditions say otherwise. `silence`: longest pause in a stream. `hedge`: seconds without text after which
    the next entry is asked as well (0: never). `retry_share`: extra calls for each request. `local_only`: ask nobody
    else."""

    breaker: BreakerFigures = field(default_factory=BreakerFigures)
    retry_share: float = 0.1
    first_token: float = 1.5
    silence: float = 60.0
    hedge: float = 0.0
    local_only: bool = False


@dataclass(frozen=True, slots=True)
class _Link:
    entry: Entry
    breaker: Breaker


@dataclass(slots=True)
class _Run:
    """One request on its way: `waiting` are the entries still to be asked, `calls` how many were."""

    messages: Sequence[Message]
    call: Call
    waiting: list[_Link]
    said: list[Said] = field(default_factory=list)
    calls: int = 0
    retrying: bool = False

    def late(self) -> bool:
        return self.call.deadline is not None and time.monotonic() >= self.call.deadline


def prompt_tokens(messages: Sequence[Message]) -> int:
    """An upper estimate."""
    return sum(math.ceil(len(m.content) / CHARACTERS_PER_TOKEN) + MESSAGE_TOKENS for m in messages)


class Chain:
    """LLM over others. `orders` names the entries of a purpose in order (all of them, as given, where it does not).
    `context` is the smallest window of the entries for "chat", so what is built for the chain fits every one of them.
    Breakers belong to this object. `clock` (seconds) is theirs."""

    def __init__(
        self,
        entries: Sequence[Entry],
        policy: Policy | None = None,
        *,
        orders: Mapping[Purpose, Sequence[str]] | None = None,
        count: Callable[[Sequence[Message]], int] = prompt_tokens,
        clock: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        policy = policy or Policy()
        links = {e.name: _Link(e, Breaker(policy.breaker, clock, uniform)) for e in entries}
        self._links = links
        self._orders = {purpose: [links[name] for name in names] for purpose, names in (orders or {}).items()}
        self._policy = policy
        self._budget = RetryBudget(policy.retry_share)
        self._count = count
        self._uniform = uniform
        self._sleep = sleep

    @property
    def name(self) -> str:
        return f"gateway({', '.join(link.entry.name for link in self._order('chat'))})"

    @property
    def context(self) -> int:
        windows = [link.entry.conditions.context for link in self._order("chat")]
        return min((w for w in windows if w), default=DEFAULT_CONTEXT)

    def states(self) -> dict[str, State]:
        """Of the breakers, by name, as they are in this process."""
        return {name: link.breaker.state for name, link in self._links.items()}

    def close(self) -> None:
        for link in self._links.values():
            link.entry.llm.close()

    def _order(self, purpose: Purpose) -> list[_Link]:
        return self._orders.get(purpose) or list(self._links.values())

    def stream(self, messages: Sequence[Message], call: Call) -> Iterator[Delta]:
        self._budget.request()
        run = _Run(messages, call, [])
        run.waiting = self._steered(self._eligible(run))
        again = list(run.waiting)
        attempt, first = self._begun(run)
        if attempt is None and (pause := self._pause(run, again)) is not None:
            self._sleep(pause)
            run.waiting, run.retrying = [link for link in again if link.breaker.wait() <= 0], True
            attempt, first = self._begun(run)
        if attempt is None or first is None:
            raise verdict(run.said, late=run.late())
        try:
            yield first
            if not first.finish:
                yield from attempt.rest()
        finally:
            attempt.close()

    def _begun(self, run: _Run) -> tuple[Attempt | None, Delta | None]:
        """The attempt that began to answer, and its first delta; None where none did."""
        if self._policy.hedge > 0:
            lost = partial(self._lost, run)
            return race(lambda: self._next(run), self._policy.hedge, run.call.deadline, self._hedges, lost)
        while (attempt := self._next(run)) is not None:
            try:
                return attempt, attempt.first()
            except RagstoneError as error:
                self._lost(run, attempt, error)
            except BaseException:
                attempt.close()
                raise
        return None, None

    def _lost(self, run: _Run, attempt: Attempt, error: RagstoneError) -> None:
        attempt.close()
        run.said.append(Said(attempt.name, error))
        if isinstance(error, Unsent):  # nobody was asked
            run.calls -= 1
            if run.calls:
                self._budget.refund()

    def _hedges(self) -> bool:
        return self._budget.allows

    def _next(self, run: _Run) -> Attempt | None:
        """A call that may be made now, of the first entry that lets it; None when there is none left."""
        while run.waiting and not run.late():
            link = run.waiting.pop(0)
            name = link.entry.name
            # An extra call needs the budget, except the first to somebody who is well: that is not a storm.
            if run.calls and not self._budget.allows and (run.retrying or not link.breaker.steady):
                run.said.append(Said(name, None, "was not asked: too many extra calls were made lately"))
                continue
            given = link.breaker.admit()
            if given is None:
                wait = link.breaker.wait()
                why = f"rests for {wait:.0f} s after failures" if wait else "is being tried by another call"
                run.said.append(Said(name, None, why, wait))
                continue
            if run.calls:
                self._budget.spend()
            run.calls += 1
            return Attempt(
                name,
                link.entry.llm,
                link.breaker,
                given,
                run.messages,
                run.call,
                first_seconds=self._patience(link.entry, run),
                silence=self._policy.silence,
            )
        return None

    def _patience(self, entry: Entry, run: _Run) -> float | None:
        """Seconds for the first token; None where nobody else could be asked."""
        conditions = entry.conditions
        own = conditions.first_token
        seconds = own if own is not None else 0.0 if conditions.local else self._policy.first_token
        if not any(link.breaker.wait() <= 0 for link in run.waiting):
            return None
        seconds = seconds or math.inf
        if run.call.deadline is not None:
            seconds = min(seconds, (run.call.deadline - time.monotonic()) / 2)
        return seconds if seconds < math.inf else None

    def _eligible(self, run: _Run) -> list[_Link]:
        links = self._order(run.call.purpose)
        needed = self._count(run.messages)
        language = ""
        if any(link.entry.conditions.languages for link in links):
            asked = next((m.content for m in reversed(run.messages) if m.role == "user"), "")
            language = detect(asked)
        found = []
        for link in links:
            reason = self._unfit(link.entry, needed, run.call.max_tokens, language)
            if reason is None:
                found.append(link)
            else:
                run.said.append(reason)
        return found

    def _unfit(self, entry: Entry, needed: int, written: int, language: str) -> Said | None:
        """Why an entry may not be asked; None where it may."""
        c = entry.conditions
        if self._policy.local_only and not c.local:
            return Said(entry.name, None, "does not run on this machine")
        if c.languages and language not in c.languages:
            return Said(entry.name, None, f"is not for questions in {language or 'an unknown language'}")
        if c.context and needed + written > c.context:
            error = f"about {needed} tokens and {written} of answer do not fit its window of {c.context}."
            return Said(entry.name, PromptTooLong(error, "Ask less at once, or add a model with a larger window."))
        if c.max_cost is not None:
            cost = entry.cost(needed, written) if entry.cost is not None else None
            if cost is None:
                unknown = "its price is not known, so max_cost cannot be held."
                return Said(entry.name, PriceUnknown(unknown, "Set its price in the settings."))
            if cost > c.max_cost:
                return Said(entry.name, None, f"could cost {cost:.4f}, more than max_cost {c.max_cost:g}")
        return None

    def _steered(self, links: list[_Link]) -> list[_Link]:
        """Without extra calls to spare, who failed last is not asked first, unless it is time to try it again."""
        if self._budget.allows:
            return links
        first = [li for li in links if li.breaker.steady or (li.breaker.state == "open" and li.breaker.wait() <= 0)]
        return first + [link for link in links if link not in first] if first else links

    def _pause(self, run: _Run, links: Sequence[_Link]) -> float | None:
        """Seconds until it makes sense to ask again; None where it does not."""
        if not run.calls or not self._budget.allows or not any(s.retryable for s in run.said):
            return None
        wait = min((link.breaker.wait() for link in links), default=math.inf)
        pause = wait + self._uniform(0.0, BACKOFF_SECONDS)
        left = math.inf if run.call.deadline is None else run.call.deadline - time.monotonic()
        return pause if wait <= LONGEST_WAIT and pause < left else None

