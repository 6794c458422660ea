"""Models that see names beside the rules: one contract for spaCy pipelines and ONNX token classifiers. Both are made here
and run for real."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from ragstone.assemble import graph_extractor, open_knowledge_base
from ragstone.embedding.session import open_session
from ragstone.errors import ModelMismatch, ModelMissing, SettingsError
from ragstone.graph.extract import RuleExtractor
from ragstone.protocols import Recognizer
from ragstone.recognizers import OVERLAP, WINDOW, joined, recognizers
from ragstone.settings import at, load

TEXT = "die zentrifuge walross sieben hält am 3. mai bei den stadtwerken detmold ."
LABELS = ["O", "B-ORG", "I-ORG", "B-DATE", "I-DATE"]
TAGS = {"walross": 1, "sieben": 2, "3": 3, "mai": 4, "stadtwerken": 1, "detmold": 2}
"""What the models of these tests say of words."""


def classifier(folder: Path, *, labels: list[str] = LABELS) -> Path:
    """A token classifier that knows the words of TAGS: a table of scores by token."""
    folder.mkdir()
    words = ["[UNK]", "[CLS]", "[SEP]", *TAGS]
    tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {str(at): label for at, label in enumerate(labels)}
    (folder / "config.json").write_text(json.dumps({"id2label": names}))
    scores = np.zeros((len(words), len(LABELS)), np.float32)
    for row, word in enumerate(words):
        scores[row, TAGS.get(word, 0)] = 1.0
    shape = ["batch", "tokens"]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Gather", ["scores", "input_ids"], ["logits"])], "tagger",
        [onnx.helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, shape)],
        [onnx.helper.make_tensor_value_info("logits", onnx.TensorProto.FLOAT, [*shape, len(LABELS)])],
        [onnx.numpy_helper.from_array(scores, "scores")],
    )  # fmt: skip
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, folder / "model.onnx")
    return folder


def pipeline(folder: Path, *, language: str = "de") -> Path:
    """A spaCy pipeline with rules in place of weights."""
    spacy = pytest.importorskip("spacy", reason="the extra ner is not installed")
    nlp = spacy.blank(language)
    patterns = [("ORG", "walross sieben"), ("DATE", "3. mai"), ("ORG", "stadtwerken detmold")]
    nlp.add_pipe("entity_ruler").add_patterns([{"label": label, "pattern": text} for label, text in patterns])
    nlp.meta.update(name="made", version="1.2.3")
    nlp.to_disk(folder)
    return folder


MADE: dict[str, Callable[[Path], Path]] = {"onnx": classifier, "spacy": pipeline}


@pytest.fixture(params=MADE)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"{request.param}:{MADE[request.param](tmp_path / 'made')}"


def opened(source: str) -> Recognizer:
    (found,) = recognizers([source])
    return found


def names(found: Recognizer, text: str, language: str = "de") -> list[str]:
    return [text[start:end] for start, end in found.names(text, language)]


def test_names_and_no_dates(source: str) -> None:
    found = opened(source)
    assert names(found, TEXT) == ["walross sieben", "stadtwerken detmold"]
    assert names(found, "") == names(found, " \n ") == names(found, "nichts davon") == []
    assert names(found, "🙂 walross sieben\u00a0…") == ["walross sieben"]
    assert opened(source).version == found.version


def test_threads_see_the_same(source: str) -> None:
    found, seen = opened(source), list[list[str]]()
    threads = [threading.Thread(target=lambda: seen.extend(names(found, TEXT) for _ in range(20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 80
    assert all(each == ["walross sieben", "stadtwerken detmold"] for each in seen)


def test_what_it_sees_becomes_an_entity(source: str, tmp_path: Path) -> None:
    """Words in small letters that neither the rules nor the tagger take for a name."""
    kinds = {m.text: m.kind for m in RuleExtractor().extract(TEXT, "de").mentions}
    assert kinds.get("walross sieben") != "name"
    settings = at(tmp_path / "data", load(overrides={"graph.ner": [source], "embedding.background": False}))
    with open_knowledge_base(settings) as kb:
        kb.add_texts([("one", "", TEXT, {})])
        kb.graph.build("default")
        (entity,) = kb.graph.find("walross sieben")
        assert (entity.kind, entity.mentions) == ("name", 1)
        (status,) = kb.graph.status()
        assert status.waiting == 0
        assert status.extractor == graph_extractor(settings).version == f"rules-1+{opened(source).version}"
    without = at(tmp_path / "data", load(overrides={"embedding.background": False}))
    with open_knowledge_base(without, read_only=True) as kb:
        (status,) = kb.graph.status()
        assert (status.waiting, status.entities) != (0, 0)  # another version: it waits, and is served until it is read
    with open_knowledge_base(without) as kb:
        kb.graph.build("default")
        assert "name" not in {entity.kind for entity in kb.graph.find("walross sieben")}


def test_it_is_loaded_once_in_a_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[Path] = []

    def counted(file: Path) -> Any:
        loads.append(file)
        return open_session(file)

    monkeypatch.setattr("ragstone.recognizers.open_session", counted)
    off = {"graph.ner": [f"onnx:{classifier(tmp_path / 'made')}"], "embedding.background": False}
    settings = [at(tmp_path / name, load(overrides=off)) for name in ("one", "other")]
    with open_knowledge_base(settings[0]) as one, open_knowledge_base(settings[1]) as other:
        assert loads == []  # nothing was read so far
        for kb in (one, other):
            kb.add_texts([(f"{n}", "", f"{TEXT} {n}", {}) for n in range(8)])
        threads = [threading.Thread(target=kb.graph.build, args=("default",)) for kb in (one, other) * 3]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert one.graph.status()[0].waiting == other.graph.status()[0].waiting == 0
    assert len(loads) == 1


def test_a_text_longer_than_the_model_reads(tmp_path: Path) -> None:
    found = opened(f"onnx:{classifier(tmp_path / 'made')}")
    text = " ".join(["der"] * (WINDOW - OVERLAP // 2) + ["walross", "sieben"] + ["der"] * 900 + ["detmold"])
    assert names(found, text) == ["walross sieben", "detmold"]


def test_a_pipeline_reads_its_language(tmp_path: Path) -> None:
    german, any_ = opened(f"spacy:{pipeline(tmp_path / 'de')}"), opened(f"spacy:{pipeline(tmp_path / 'xx', language='xx')}")
    assert names(german, TEXT, "en") == []
    assert names(any_, TEXT, "en") == ["walross sieben", "stadtwerken detmold"]
    assert german.version == "spacy:de_made-1.2.3"


def test_joining_words() -> None:
    text = "Anna-Lena Berg und Bonn, Köln Ulm"
    words = [((0, 4), "B-PER"), ((5, 9), "I-PER"), ((10, 14), "I-PER"), ((15, 18), "O"), ((19, 23), "B-LOC")]
    words += [((25, 29), "I-LOC"), ((30, 33), "B-LOC")]
    assert [text[a:b] for a, b in joined(text, words)] == ["Anna-Lena Berg", "Bonn", "Köln", "Ulm"]


@pytest.mark.parametrize("wrong", ["de_core_news_sm", "spacy:", "onnx:", "gliner:x", ""])
def test_a_model_that_is_not_spelled_right(wrong: str) -> None:
    with pytest.raises(SettingsError, match="spacy:NAME or onnx:FOLDER"):
        recognizers([wrong])


def test_models_that_are_not_there_or_no_such_models(tmp_path: Path) -> None:
    with pytest.raises(ModelMissing, match="token classifier"):
        recognizers([f"onnx:{tmp_path}"])
    few = classifier(tmp_path / "labels", labels=LABELS[:1])
    with pytest.raises(ModelMismatch, match="tag for each token"):
        opened(f"onnx:{few}").names(TEXT, "de")
    folder = classifier(tmp_path / "broken")
    (folder / "config.json").write_text("{}")
    with pytest.raises(ModelMismatch, match="no token classifier"):
        recognizers([f"onnx:{folder}"])
    (folder / "model.onnx").write_bytes(b"no model")
    (folder / "config.json").write_text('{"id2label": {"0": "O"}}')
    with pytest.raises(ModelMismatch):
        recognizers([f"onnx:{folder}"])
    spacy = pytest.importorskip("spacy", reason="the extra ner is not installed")
    with pytest.raises(ModelMissing, match="no spaCy pipeline"):
        recognizers(["spacy:de_that_nobody_made"])
    spacy.blank("de").to_disk(tmp_path / "blank")
    with pytest.raises(ModelMismatch, match="tells no names"):
        recognizers([f"spacy:{tmp_path / 'blank'}"])
