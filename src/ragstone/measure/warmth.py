"""First tokens of a local model: cold, loaded ahead, and of a conversation's next question with and without what was
computed before."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..answer.conversation import Conversation
from ..errors import InputError
from ..knowledge_base import KnowledgeBase
from .metrics import percentile
from .samples import sample_sentences

PASSAGES = 9
"""All of them are evidence of every question (ten are), so the same passages are sent."""
SENTENCES = 5
"""Of a passage, from the samples: with nine passages, a prompt of about a thousand tokens."""
SECONDS = 600.0
"""For one answer."""


def local_model(open_at: Callable[[Path], KnowledgeBase], turns: int = 2) -> dict[str, Any]:
    """With the model of the settings, which must be one of this machine. The next question is asked `turns` times with
    and without reuse, in turns, because other work on the machine moves both. Raises InputError."""
    sentences = sample_sentences()
    texts = [" ".join(sentences[n * SENTENCES : (n + 1) * SENTENCES]) for n in range(PASSAGES + 1)]
    question = " ".join(sentences[SENTENCES].split()[:8])
    with tempfile.TemporaryDirectory(prefix="ragstone-bench-") as place, open_at(Path(place)) as kb:
        if not kb.model_status():
            raise InputError("no model of this machine answers.", "Set answer.model to gguf:PATH or ollama:NAME.")
        kb.add_texts((f"text-{n}", "", text, {}) for n, text in enumerate(texts[:PASSAGES]))
        kb.embed_pending()
        try:
            cold = _first_token(kb, question, Conversation())
            kb.unload_models()
            loading = sum(seconds for _, seconds in kb.load_models())
            kb.purge_caches()  # the instructions were computed ahead as well: without them it is the load alone
            talk = Conversation()
            preloaded = _first_token(kb, question, talk)
            reused, anew, prompts, cached = [], [], 0, 0
            for _ in range(turns):
                before = kb.model_status()[0]
                reused.append(_first_token(kb, question, talk))
                after = kb.model_status()[0]
                prompts += after.prompt_tokens - before.prompt_tokens
                cached += after.cached_tokens - before.cached_tokens
                kb.purge_caches()
                anew.append(_first_token(kb, question, talk))
            kb.add_texts([("new", "", texts[PASSAGES], {})])
            kb.embed_pending()
            new_passage = _first_token(kb, question, talk)
            kb.end(talk)
        finally:
            kb.unload_models()
    return {
        "model": after.name,
        "prompt_tokens": prompts // turns,
        "load_s": loading,
        "first_token_cold_s": cold / 1000.0,
        "first_token_after_preload_s": preloaded / 1000.0,
        "next_first_token_s": percentile(reused, 0.5) / 1000.0,
        "next_first_token_without_reuse_s": percentile(anew, 0.5) / 1000.0,
        "reuse_times_faster": percentile(anew, 0.5) / percentile(reused, 0.5),
        "next_with_a_new_passage_s": new_passage / 1000.0,
        "reused_share_of_prompt": cached / prompts if prompts else 0.0,
    }


def _first_token(kb: KnowledgeBase, question: str, conversation: Conversation) -> float:
    """Milliseconds from the model's call to its first word. Raises InputError where it wrote none."""
    answer = kb.ask(question, conversation=conversation, deadline=time.monotonic() + SECONDS)
    first = answer.timings.get("first token")
    if first is None:
        raise InputError(f"the model did not answer: {'; '.join(answer.notes) or answer.text}")
    return first
