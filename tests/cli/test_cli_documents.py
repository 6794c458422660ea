"""Commands over real documents, without vectors where they do not matter; JSON is held to its documentation."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from command_line import CommandLine, write_documents
from model_servers import OllamaHandler, Script, serving
from ragstone import errors
from ragstone.cli.app import run
from ragstone.cli.records import printed as records
from ragstone.knowledge_base import KnowledgeBase
from ragstone.records import SCHEMA_VERSION
from ragstone.types import IngestReport
from schema_check import mismatches

EXIT_NOT_FOUND, EXIT_READ, EXIT_MODEL = 3, 4, 6


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents and a data folder that holds them, made once: a reader process costs more than a copy."""
    place = tmp_path_factory.mktemp("template")
    write_documents(place / "documents")
    assert run(["add", str(place / "documents"), "--no-embed"], {"RAGSTONE_DATA": str(place / "data")}) == 0
    return place


@pytest.fixture
def filled(ragstone: CommandLine, template: Path, environ: dict[str, str]) -> CommandLine:
    """A command line over a data folder of its own that holds the documents of `stored`."""
    shutil.copytree(template / "data", environ["RAGSTONE_DATA"])
    return ragstone


@pytest.fixture
def stored(template: Path) -> Path:
    return template / "documents"


def held(outcome: Any, record: type) -> Any:
    """The JSON of an outcome, after holding it to its record."""
    assert outcome.err == ""
    assert mismatches(outcome.json, record) == []
    assert outcome.json["schema_version"] == SCHEMA_VERSION
    return outcome.json


def test_add_reports_files_and_counts(ragstone: CommandLine, documents: Path) -> None:
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing")
    result = held(ragstone("add", str(documents), "--no-embed", "--json"), records.IngestRecord)
    assert result["counts"] == {"added": 2, "failed": 1}
    failed = next(f for f in result["files"] if f["state"] == "failed")
    assert failed["uri"].endswith("broken.pdf")
    assert failed["code"] == "DamagedFile"
    again = held(ragstone("add", str(documents), "--no-embed", "--json"), records.IngestRecord)
    assert again["counts"]["unchanged"] == 2


def test_add_in_words(ragstone: CommandLine, documents: Path) -> None:
    outcome = ragstone("add", str(documents), "--no-embed")
    assert outcome.out.startswith("2 added (")
    assert "unchanged" in ragstone("add", str(documents), "--no-embed").out
    (documents / "empty.txt").touch()
    outcome = ragstone("add", str(documents), "--no-embed")
    assert outcome.code == 0
    assert "empty.txt" in outcome.out
    assert ragstone("add", str(documents), "--no-embed", "--strict").code == EXIT_READ


def test_add_only_unreadable_files_is_code_4(ragstone: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "garbage.bin").write_bytes(bytes(range(256)) * 16)
    assert ragstone("add", str(tmp_path / "garbage.bin")).code == EXIT_READ


def test_missing_path_is_code_3_and_adds_nothing(ragstone: CommandLine, documents: Path) -> None:
    outcome = ragstone("add", str(documents), "nowhere")
    assert outcome.code == EXIT_NOT_FOUND
    assert "nowhere does not exist" in outcome.err
    assert "nothing matches" in ragstone("add", str(documents / "*.nope")).err
    assert ragstone("list", "--json").json["documents"] == []


def test_empty_folder_says_so(ragstone: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = ragstone("add", str(tmp_path / "empty"))
    assert outcome.code == EXIT_NOT_FOUND
    assert "empty" in outcome.err


def test_text_from_stdin(ragstone: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("Der Schlüssel hängt innen.".encode())))
    assert ragstone("add", "-", "--uri", "note:1", "--title", "Notiz", "--meta", "floor=2", "--no-embed").code == 0
    shown = held(ragstone("show", "note:1", "--json"), records.ShowRecord)
    assert shown["text"].strip() == "Der Schlüssel hängt innen."
    assert shown["document"]["metadata"]["floor"] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="names with control characters")
def test_odd_names_reach_the_terminal_escaped(ragstone: CommandLine, documents: Path) -> None:
    (documents / "evil\x1b[2J\u202e.txt").write_text("The red valve is closed.\n")
    ragstone("add", str(documents), "--no-embed")
    for outcome in (ragstone("list"), ragstone("search", "red valve", "--mode", "lexical")):
        assert "evil\\x1b[2J" in outcome.out
        assert "\x1b" not in outcome.out
        assert "\u202e" not in outcome.out


@pytest.mark.skipif(sys.platform != "linux", reason="undecodable names")
def test_name_with_a_line_feed_is_found_by_its_path(ragstone: CommandLine, documents: Path) -> None:
    file = documents / "two\nlines.md"
    file.write_text("A valve.", encoding="utf-8")
    assert ragstone("add", str(file)).code == 0
    assert ragstone("show", str(file), "--text").out == "A valve.\n"
    assert ragstone("remove", str(file)).code == 0


def test_add_of_nothing_but_links_is_code_4(ragstone: CommandLine, documents: Path) -> None:
    link = documents / "link.md"
    link.symlink_to(next(documents.glob("*.*")))
    outcome = ragstone("add", str(link))
    assert outcome.code == 4
    assert "It is a symbolic link" in outcome.out


def test_sync_without_followed_folders_says_so(ragstone: CommandLine, documents: Path) -> None:
    ragstone("add", str(documents), "--no-remember")
    outcome = ragstone("sync")
    assert outcome.code == 0
    assert "No folder is followed." in outcome.err


def test_what_is_stored_is_said_also_where_embedding_fails(
    ragstone: CommandLine, documents: Path, tmp_path: Path
) -> None:
    server = ("--set", "embedding.endpoint=http://127.0.0.1:9", "--set", "embedding.dimension=8")
    outcome = ragstone("add", str(documents), *server)
    assert outcome.code == errors.ModelUnavailable.exit_code
    assert outcome.out.startswith("2 added (")
    assert "All text is stored and searchable by its words" in outcome.err
    as_json = ragstone("add", str(documents), *server, "--json")
    assert (as_json.json["counts"], as_json.error["code"]) == ({"unchanged": 2}, "ModelUnavailable")
    export = tmp_path / "out.jsonl"
    ragstone("export", str(export), "--quiet")
    imported = ragstone("import", str(export), *server)
    assert imported.code == errors.ModelUnavailable.exit_code
    assert imported.out == f"Imported 2 documents from {export}.\n"


def test_a_missing_model_is_told_before_anything_is_read(
    ragstone: CommandLine, documents: Path, tmp_path: Path
) -> None:
    outcome = ragstone("add", str(documents), "--set", f"embedding.path={tmp_path / 'none.onnx'}")
    assert (outcome.code, outcome.out) == (errors.ModelMissing.exit_code, "")
    assert ragstone("list", "--json").json["documents"] == []


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="permissions")
@pytest.mark.parametrize("command", [("status",), ("doctor",), ("verify",)])
def test_a_data_folder_behind_a_locked_one(
    ragstone: CommandLine, environ: dict[str, str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0)
    environ["RAGSTONE_DATA"] = str(locked / "data")
    outcome = ragstone(*command)
    assert outcome.code in (1, errors.StoreError.exit_code)
    assert "cannot be read: Permission denied" in outcome.out + outcome.err
    assert "defect" not in outcome.err


def test_status_of_an_unknown_collection(filled: CommandLine) -> None:
    outcome = filled("status", "-c", "nope", "--json")
    assert outcome.code == 3
    assert outcome.error["code"] == "NotFound"


def test_failures_are_named_before_vectors_are_made(
    ragstone: CommandLine, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    (documents / "empty.md").touch()
    monkeypatch.setattr("ragstone.knowledge_base.KnowledgeBase.embed_pending", interrupted)
    outcome = ragstone("add", str(documents))
    assert outcome.code == 130
    assert "The file is empty" in outcome.out
    assert "vectors that are missing follow" in outcome.err


def test_watch_ended_by_ctrl_c_is_no_error(
    ragstone: CommandLine, documents: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watched(kb: KnowledgeBase, paths: list[str], **_: object) -> Iterator[IngestReport]:
        yield kb.add(paths)
        raise KeyboardInterrupt

    monkeypatch.setattr(KnowledgeBase, "watch", watched)
    outcome = ragstone("watch", str(documents))
    assert outcome.code == 0
    assert "Stopped. Everything reported is stored and searchable." in outcome.err
    assert "error" not in outcome.err


def test_undecodable_name(ragstone: CommandLine, documents: Path) -> None:
    Path(os.fsdecode(os.fsencode(documents) + b"/caf\xe9.txt")).write_text("The blue valve is open.\n")
    assert ragstone("add", str(documents), "--no-embed").code == 0
    assert ragstone("list").code == 0
    assert len(ragstone("list", "--json").json["documents"]) == 3


def test_list_and_filters(filled: CommandLine, stored: Path) -> None:
    result = held(filled("list", "--json"), records.ListRecord)
    assert {Path(d["uri"]).name for d in result["documents"]} == {"filter.md", "boiler.txt"}
    rows = [line.split("\t") for line in filled("list").out.splitlines()]
    assert [(len(row), row[-1]) for row in rows] == [(8, "default")] * 2

    def names(*options: str) -> set[str]:
        return {Path(d["uri"]).name for d in filled("list", "--json", *options).json["documents"]}

    assert names("--language", "de") == {"filter.md"}
    assert names("--type", "text/plain") == {"boiler.txt"}
    assert names("--path", f"{stored}/*.md") == {"filter.md"}
    assert names("--after", "2100-01-01") == set()
    assert names("--before", "2100-01-01") == {"filter.md", "boiler.txt"}


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("status",),
        ("search", "anything"),
        ("ask", "anything?"),
        ("show", "x"),
        ("verify",),
        ("rebuild",),
        ("sync",),
        ("remove", "x"),
    ],
)
def test_reading_where_there_is_no_data(
    ragstone: CommandLine, environ: dict[str, str], command: tuple[str, ...]
) -> None:
    outcome = ragstone(*command)
    assert (outcome.code, outcome.out) == (EXIT_NOT_FOUND, "")
    assert environ["RAGSTONE_DATA"] in outcome.err
    assert not Path(environ["RAGSTONE_DATA"]).exists()


def test_list_of_nothing(filled: CommandLine) -> None:
    filled("remove", "--all", "-c", "default")
    outcome = filled("list")
    assert (outcome.code, outcome.out) == (0, "")
    assert "ragstone add" in outcome.err


def test_show(filled: CommandLine, stored: Path) -> None:
    path = str(stored / "filter.md")
    overview = filled("show", path)
    assert "Filterwechsel" in overview.out
    whole = held(filled("show", path, "--json"), records.ShowRecord)
    text = whole["text"]
    assert (whole["start"], whole["end"]) == (0, len(text))
    assert filled("show", path, "--text").out.rstrip("\n") == text.rstrip("\n")
    start = text.index("Der Luftfilter")
    span = held(filled("show", path, "--span", f"{start}:{start + 14}", "--json"), records.ShowRecord)
    assert span["text"] == "Der Luftfilter"
    assert filled("show", path, "--span", f"{start}:{start + 14}").out == "Der Luftfilter\n"


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--page", "1"), EXIT_NOT_FOUND, "has no pages"),
        (("--span", "5"), 2, "START:END"),
        (("--span", "a:b"), 2, "START:END"),
        (("--span", "5:99999"), 2, "outside"),
        (("--page", "1", "--text"), 2, "exclude"),
    ],
)
def test_show_refuses(filled: CommandLine, stored: Path, options: tuple[str, ...], code: int, said: str) -> None:
    outcome = filled("show", str(stored / "filter.md"), *options)
    assert outcome.code == code
    assert said in outcome.err


def test_show_unknown_document(filled: CommandLine) -> None:
    assert filled("show", "nothing.txt").code == EXIT_NOT_FOUND


def test_search(filled: CommandLine, stored: Path) -> None:
    result = held(filled("search", "Filterwechsel", "--mode", "lexical", "--json"), records.SearchRecord)
    hit = result["hits"][0]
    assert hit["rank"] == 1
    assert hit["uri"] == str(stored / "filter.md")
    assert hit["parts"]["lexical"] > 0
    text = filled("show", hit["uri"], "--json").json["text"]
    assert text[hit["start"] : hit["end"]] == hit["text"]
    assert "Filterwechsel" in [text[s:e] for s, e in hit["highlights"]]
    shown = filled("search", "Filterwechsel", "--mode", "lexical")
    assert f"{stored}/filter.md" in shown.out
    assert held(filled("search", "Filter", "-k", "1", "--mode", "lexical", "--json"), records.SearchRecord)


def test_search_of_nothing_found(filled: CommandLine) -> None:
    outcome = filled("search", "xyzzyplugh", "--mode", "lexical")
    assert (outcome.code, outcome.out) == (0, "")
    assert "Nothing found" in outcome.err


def test_search_without_documents(filled: CommandLine) -> None:
    filled("remove", "--all", "-c", "default")
    outcome = filled("search", "anything")
    assert outcome.code == EXIT_NOT_FOUND
    assert "ragstone add" in outcome.err


@pytest.mark.parametrize("options", [("",), ("x", "-k", "0"), ("x", "-k", "1000"), ("x" * 20_000,)])
def test_search_refuses(filled: CommandLine, options: tuple[str, ...]) -> None:
    assert filled("search", *options).code == 2


def test_search_in_batch(filled: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "questions.txt").write_text("Luftfilter\n\nboiler\n", encoding="utf-8")
    outcome = filled("search", "--batch", str(tmp_path / "questions.txt"), "--mode", "lexical", "--json")
    results = [json.loads(line) for line in outcome.out.splitlines()]
    assert [r["query"] for r in results] == ["Luftfilter", "boiler"]
    for result in results:
        assert mismatches(result, records.SearchRecord) == []
    assert filled("search", "--batch", str(tmp_path / "missing.txt")).code == EXIT_NOT_FOUND


def test_sync_follows_the_folder(ragstone: CommandLine, documents: Path) -> None:
    ragstone("add", str(documents), "--no-embed")
    (documents / "boiler.txt").unlink()
    (documents / "new.txt").write_text("The pump stands in the cellar.\n")
    result = held(ragstone("sync", "--no-embed", "--json"), records.IngestRecord)
    assert result["counts"]["added"] == 1
    assert result["counts"]["removed"] == 1
    assert result["collection"] is None


def test_remove(filled: CommandLine, stored: Path) -> None:
    result = held(filled("remove", str(stored / "boiler.txt"), "--json"), records.RemoveRecord)
    assert result["removed"] == [str(stored / "boiler.txt")]
    assert filled("remove", "nothing*").code == EXIT_NOT_FOUND
    assert filled("remove", "--all", "--collection", "default").out.strip() == str(stored / "filter.md")
    assert filled("list", "--json").json["documents"] == []


def test_collections_are_apart(ragstone: CommandLine, documents: Path) -> None:
    ragstone("add", str(documents / "filter.md"), "-c", "german", "--no-embed")
    ragstone("add", str(documents / "boiler.txt"), "-c", "english", "--no-embed")
    assert ragstone("search", "boiler", "-c", "german", "--mode", "lexical", "--json").json["hits"] == []
    both = ragstone("search", "boiler", "--mode", "lexical", "--json").json["hits"]
    assert [h["collection"] for h in both] == ["english"]
    assert ragstone("search", "boiler", "-c", "french").code == EXIT_NOT_FOUND
    names = {c["name"] for c in held(ragstone("status", "--json"), records.StatusRecord)["collections"]}
    assert names == {"german", "english"}


def test_show_finds_a_document_in_whatever_collection(ragstone: CommandLine, documents: Path) -> None:
    ragstone("add", str(documents / "filter.md"), "-c", "one", "--no-embed")
    ragstone("add", str(documents), "-c", "two", "--no-embed")
    assert ragstone("show", "boiler.txt", "--json").json["document"]["collection"] == "two"
    several = ragstone("show", "filter.md")
    assert several.code == EXIT_NOT_FOUND
    assert "one, two" in several.err
    assert ragstone("show", "filter.md", "-c", "one").code == 0
    assert ragstone("show", "nothing.txt").code == EXIT_NOT_FOUND


def test_remove_says_what_sync_brings_back(ragstone: CommandLine, documents: Path) -> None:
    ragstone("add", str(documents), "--no-embed")
    (documents / "boiler.txt").unlink()
    assert "brings back" not in ragstone("remove", str(documents / "boiler.txt")).err
    assert f"follows {documents} and brings back" in ragstone("remove", str(documents / "filter.md")).err
    assert ragstone("sync", "--no-embed", "--json").json["counts"] == {"added": 1}
    assert "brings back" not in ragstone("remove", str(documents)).err


def test_status_verify_rebuild(filled: CommandLine) -> None:
    status = held(filled("status", "--json"), records.StatusRecord)
    assert status["collections"][0]["documents"] == 2
    assert status["collections"][0]["waiting"] == status["collections"][0]["chunks"]
    assert "Data folder" in filled("status").out
    assert held(filled("verify", "--json"), records.VerifyRecord)["clean"] is True
    assert filled("verify").out.startswith("All agree")
    held(filled("rebuild", "--json"), records.DoneRecord)
    assert filled("verify").code == 0


def test_export_and_import(filled: CommandLine, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    assert held(filled("export", str(target), "--json"), records.TransferRecord)["documents"] == 2
    assert filled("export", str(target)).code == filled("export", "-").code == 2
    assert not Path("-").exists()
    assert filled("export", str(target), "--force").code == 0
    before = filled("list", "--json").json["documents"]
    filled("remove", "--all", "-c", "default")
    imported = held(filled("import", str(target), "--no-embed", "--json"), records.TransferRecord)
    assert imported["documents"] == 2
    after = filled("list", "--json").json["documents"]
    assert [(d["uri"], d["characters"], d["title"]) for d in after] == [
        (d["uri"], d["characters"], d["title"]) for d in before
    ]
    assert filled("import", str(tmp_path / "missing.jsonl")).code == EXIT_NOT_FOUND


def test_models(ragstone: CommandLine) -> None:
    assert held(ragstone("models", "--json"), records.ModelsRecord)["models"]
    assert held(ragstone("models", "list", "--json"), records.ModelsRecord)["models"]
    assert "multilingual-e5-small" in ragstone("models").out


def test_no_language_model_of_this_machine_answers_by_default(filled: CommandLine) -> None:
    assert held(filled("models", "status", "--json"), records.ModelStatusRecord)["models"] == []
    assert held(filled("models", "preload", "--json"), records.PreloadRecord)["models"] == []
    assert "No model of this machine answers" in filled("models", "status").err


def test_a_model_that_runs_here_is_shown_and_loaded(filled: CommandLine) -> None:
    script = Script(models=[{"name": "small:latest", "modified_at": "2026", "size": 2_000_000}], load_seconds=0.01)
    with serving(OllamaHandler, script) as url:
        chosen = ("--set", "answer.model=ollama:small", "--set", f"answer.base_url={url}")
        [cold] = held(filled("models", "status", "--json", *chosen), records.ModelStatusRecord)["models"]
        assert (cold["loaded"], cold["size"]) == (False, 2_000_000)
        assert "not loaded" in filled("models", "status", *chosen).out
        assert "loaded in" in filled("models", "preload", *chosen).out
        assert "was loaded already" in filled("models", "preload", *chosen).out
        [warm] = held(filled("models", "status", "--json", *chosen), records.ModelStatusRecord)["models"]
        assert (warm["loaded"], warm["ram"], warm["vram"]) == (True, 2_000_000, 1_000_000)
    gone = filled("models", "status", *chosen)
    assert gone.code == EXIT_MODEL
    assert "does not answer" in gone.err


def test_a_missing_gguf_file_is_told_when_it_is_to_be_loaded(filled: CommandLine) -> None:
    chosen = ("--set", "answer.model=gguf:/nowhere/model.gguf")
    [status] = held(filled("models", "status", "--json", *chosen), records.ModelStatusRecord)["models"]
    assert (status["loaded"], status["size"]) == (False, 0)
    refused = filled("models", "preload", *chosen)
    assert refused.code == EXIT_MODEL
    assert "cannot be read" in refused.err


def test_config_records(ragstone: CommandLine) -> None:
    held(ragstone("config", "show", "--json"), records.ConfigRecord)
    held(ragstone("config", "path", "--json"), records.PathRecord)


def test_error_record(ragstone: CommandLine) -> None:
    outcome = ragstone("add", "nowhere", "--json")
    assert mismatches(json.loads(outcome.err), records.ErrorRecord) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_data_folder(filled: CommandLine, environ: dict[str, str]) -> None:
    data = Path(environ["RAGSTONE_DATA"])
    data.chmod(0o500)
    try:
        assert filled("add", __file__).code == 5
    finally:
        data.chmod(0o700)


def test_data_folder_that_is_a_file(ragstone: CommandLine, tmp_path: Path, documents: Path) -> None:
    (tmp_path / "file").touch()
    outcome = ragstone("add", str(documents), "--data", str(tmp_path / "file"))
    assert outcome.code in (2, 5)
    assert outcome.err.startswith("error: ")


def test_bench_compare(ragstone: CommandLine, tmp_path: Path) -> None:
    for name, speed in (("old", 10.0), ("same", 9.5), ("worse", 5.0)):
        report = {"scenarios": {"ingest": {"mb_per_s": speed, "files": 3}}}
        (tmp_path / f"{name}.json").write_text(json.dumps(report))
    old, same, worse = (str(tmp_path / f"{name}.json") for name in ("old", "same", "worse"))
    assert ragstone("bench", "compare", old, same).code == 0
    outcome = ragstone("bench", "compare", old, worse, "--json")
    assert outcome.code == 1
    assert mismatches(outcome.json, records.ComparisonRecord) == []
    assert "worse" in ragstone("bench", old, "compare", worse).out
    assert ragstone("bench", "compare", old, worse, "--tolerance", "0.6").code == 0
    assert ragstone("bench", "compare", old, str(tmp_path / "missing.json")).code in (2, 3)
