"""What `ask` and `status` show of the caches."""

from __future__ import annotations

from pathlib import Path

from command_line import CommandLine

QUESTION = "When is the boiler descaled?"


def test_an_answer_comes_again_in_the_next_process_until_its_document_changes(
    ragstone: CommandLine, documents: Path, tmp_path: Path
) -> None:
    assert ragstone("add", str(documents), "--no-embed").code == 0
    first = ragstone("ask", QUESTION, "--json").json
    assert "cache" not in first["timings"]
    again = ragstone("ask", QUESTION, "--json").json
    assert "cache" in again["timings"]
    assert {**again, "timings": {}} == {**first, "timings": {}}
    assert ragstone("status", "--json").json["caches"]["answers on disk"]["entries"] == 1
    assert "Cache        answers on disk: 1 " in ragstone("status").out
    (documents / "boiler.txt").write_text("The boiler is descaled every June.\n", encoding="utf-8")
    ragstone("sync", "--no-embed")
    assert not any(b"every March" in path.read_bytes() for path in (tmp_path / "data").glob("cache.db*"))
    assert "June" in ragstone("ask", QUESTION, "--json").json["answer"]


def test_nothing_is_kept_where_settings_say_so(ragstone: CommandLine, documents: Path, tmp_path: Path) -> None:
    ragstone("add", str(documents), "--no-embed")
    ragstone("ask", QUESTION)
    assert (tmp_path / "data" / "cache.db").exists()
    assert ragstone("ask", QUESTION, "--set", "cache.persistent=false").code == 0
    assert not (tmp_path / "data" / "cache.db").exists()
    refused = ragstone("ask", QUESTION, "--set", "search.cache_entries=5")
    assert refused.code == 2
    assert "there is no setting search.cache_entries" in refused.err
