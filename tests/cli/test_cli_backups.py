"""backup, restore and purge on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import CommandLine
from ragstone.cli.records import printed as records
from schema_check import mismatches


def held(outcome, record):  # type: ignore[no-untyped-def]
    assert outcome.code == 0, outcome.err
    assert mismatches(outcome.json, record) == []
    return outcome.json


def test_backup_restore_and_purge(ragstone: CommandLine, documents: Path, tmp_path: Path) -> None:
    backups = str(tmp_path / "backups")
    assert ragstone("backup", backups).code == 2
    assert not Path(backups).exists()
    assert ragstone("add", str(documents), "--no-embed").code == 0
    made = held(ragstone("backup", backups, "--json"), records.BackupRecord)
    assert made["generation"] == 1
    assert made["stored"] == made["bytes"]
    assert "0 B were new" in ragstone("backup", backups, "--keep", "2").out
    assert ragstone("remove", "**/boiler.txt", "--purge").code == 0
    assert b"descaled" not in (tmp_path / "data" / "ragstone.db").read_bytes()
    assert held(ragstone("purge", "--json"), records.PurgeRecord)["bytes"] > 0
    listed = held(ragstone("backup", backups, "--list", "--check", "--json"), records.BackupsRecord)
    assert [entry["generation"] for entry in listed["generations"]] == [1, 2]
    assert "whole" in ragstone("backup", backups, "--list", "--check").out

    refused = ragstone("restore", backups, "--json")
    assert (refused.code, refused.error["code"]) == (2, "InputError")
    assert "--replace" in refused.error["hint"]
    restored = held(ragstone("restore", backups, "--replace", "--json"), records.RestoreRecord)
    assert (restored["generation"], restored["documents"]) == (2, 2)
    assert ragstone("verify").code == 0
    assert "descaled" in ragstone("search", "descaled", "--mode", "lexical").out

    elsewhere = ragstone("--data", str(tmp_path / "other"), "restore", backups, "--generation", "1")
    assert elsewhere.code == 0
    assert "2 documents" in elsewhere.out


def test_damaged_backups_are_told_and_refused(ragstone: CommandLine, documents: Path, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    ragstone("add", str(documents), "--no-embed")
    ragstone("backup", str(backups))
    pack = next((backups / "packs").iterdir())
    pack.chmod(0o600)
    pack.write_bytes(b"x" * pack.stat().st_size)
    outcome = ragstone("backup", str(backups), "--list", "--check", "--json")
    assert outcome.code == 5
    assert "not what was written" in json.dumps(outcome.json["generations"][0]["problems"])
    refused = ragstone("restore", str(backups), "--replace", "--json")
    assert (refused.code, refused.error["code"]) == (5, "BackupDamaged")
    assert ragstone("verify").code == 0
    (backups / "generations" / "00000001.manifest").write_bytes(b"")
    outcome = ragstone("backup", str(backups), "--list")
    assert outcome.code == 5
    assert "Generation 1 is damaged" in outcome.err
    assert ragstone("restore", str(tmp_path / "nothing")).code == 3
