"""A few examples make a classifier that knows what it does not know."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ragstone import KnowledgeBase
from ragstone.assemble import open_knowledge_base
from ragstone.embedding_models import model_registry
from ragstone.errors import DamagedFile, InputError, NotFound
from ragstone.intent import examples
from ragstone.intent.classifier import IntentClassifier
from ragstone.models import DEFAULT_MODEL
from ragstone.settings import load
from ragstone.testing import HashEmbedder


@pytest.fixture(scope="module")
def shipped() -> IntentClassifier:
    return IntentClassifier(model_registry(load(None, {}, {})).load(DEFAULT_MODEL), examples.shipped())


def test_the_set_that_ships(shipped: IntentClassifier) -> None:
    turns = {
        "The export throws an exception when the list is empty.": "report_problem",
        "Die Seite lädt seit heute früh nicht mehr.": "report_problem",
        "Create an endpoint that returns all users.": "implement",
        "Bau bitte ein Feld für die Telefonnummer ein.": "implement",
        "We have agreed on SQLite for the prototype.": "decide",
        "Dankeschön und einen schönen Abend!": "small_talk",
        "Merk dir bitte, dass Anna im Urlaub ist.": "remember",
        "Nein, so war das nicht gemeint, zurück damit.": "correct",
    }
    found = shipped.classify_many(list(turns))
    assert sum(f.name == wanted for f, wanted in zip(found, turns.values(), strict=True)) >= 7
    for f in found:
        shares = [f.confidence, *(share for _, share in f.alternatives)]
        assert shares == sorted(shares, reverse=True)
        assert 0 <= sum(shares) <= 1 + 1e-6


def test_what_is_like_nothing_is_out_of_scope(shipped: IntentClassifier) -> None:
    strange = ("The mitochondrion is the powerhouse of the cell.", "3 Eier, 200 g Mehl und eine Prise Salz.")
    known = ("Please run all the tests again.", "Der Build bricht schon wieder ab.")
    scopes = [f.scope for f in shipped.classify_many([*strange, *known])]
    assert max(scopes[:2]) < min(scopes[2:])
    assert not any(f.in_scope for f in shipped.classify_many(list(strange)))


def test_one_or_many_is_the_same(shipped: IntentClassifier) -> None:
    texts = ["Run the tests.", "Wo steht das?"]
    vectors = model_registry(load(None, {}, {})).load(DEFAULT_MODEL).embed(texts, "passage")
    ways = (shipped.classify_many(texts), shipped.classify_vectors(texts, vectors), [*map(shipped.classify, texts)])
    assert len({tuple((f.name, round(f.confidence, 6), round(f.scope, 6)) for f in way) for way in ways}) == 1
    assert shipped.classify_many([]) == []


def test_leaving_an_example_out_is_what_refitting_gives() -> None:
    """The closed form against classifiers that were made without one example; vectors are not centred anew."""
    rng = np.random.default_rng(0)
    texts = {intent: [f"{intent} {word}" for word in ("one", "two", "three", "four")] for intent in ("add", "drop")}
    embedder = HashEmbedder()
    classifier = IntentClassifier(embedder, texts)
    assert classifier.classify("add one").name == "add"
    kernel = rng.standard_normal((6, 6))
    kernel = kernel @ kernel.T + np.eye(6)
    truth = np.eye(2)[[0, 0, 0, 1, 1, 1]]
    inverse = np.linalg.inv(kernel + 0.2 * np.eye(6))
    closed = truth - (inverse @ truth) / np.diag(inverse)[:, None]
    for i in range(6):
        rest = [j for j in range(6) if j != i]
        dual = np.linalg.solve(kernel[np.ix_(rest, rest)] + 0.2 * np.eye(5), truth[rest])
        assert np.allclose(kernel[i, rest] @ dual, closed[i])


@pytest.mark.parametrize("wrong", [{}, {"a": ["x"]}, {"a": ["x"], "b": []}, {"a": ["x"], "b": [" "]}])
def test_examples_that_make_no_classifier(wrong: dict[str, list[str]]) -> None:
    with pytest.raises(InputError):
        IntentClassifier(HashEmbedder(), wrong)


def test_a_set_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "intents.json"
    wanted = {"order": ["I want pizza", "bring me pasta"], "pay": ["the bill please", "can I pay"]}
    file.write_text(json.dumps(wanted))
    settings = load(None, {}, {"data.folder": tmp_path / "d", "memory.intents": str(file)})
    kb: KnowledgeBase
    with open_knowledge_base(settings, embedder=HashEmbedder()) as kb:
        assert kb.intents.intents == ("order", "pay")
        assert kb.intents.classify("bring me pasta").name == "order"
    lines = tmp_path / "intents.jsonl"
    lines.write_text("".join(json.dumps({"text": t, "intent": i}) + "\n" for i, texts in wanted.items() for t in texts))
    assert {i: list(t) for i, t in examples.read(lines).items()} == wanted
    file.write_text("[]")
    with pytest.raises(DamagedFile):
        examples.read(file)
    with pytest.raises(NotFound):
        examples.read(tmp_path / "nothing.json")
