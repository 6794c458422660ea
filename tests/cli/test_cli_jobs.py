"""`ragstone jobs` as a person uses it."""

from __future__ import annotations

from pathlib import Path

from command_line import CommandLine
from ragstone.cli.records.jobs import JobRecord, JobsRecord
from ragstone.jobs.intake import Arrived, submit_files
from ragstone.jobs.queue import SqliteQueue
from ragstone.jobs.uploads import Uploads
from schema_check import mismatches


def test_jobs_are_done_listed_and_run_again(ragstone: CommandLine, tmp_path: Path) -> None:
    data = tmp_path / "jobs data"
    at = ("--data", str(data))
    missing = ragstone("jobs", "list", *at)
    assert missing.code == 3
    queue, uploads = SqliteQueue(data), Uploads(data)
    for uri, body in (("a.md", b"# Pump\n\nThe pump runs at 4 bar."), ("b.pdf", b"%PDF-1.7 broken")):
        with uploads.incoming(1000) as incoming:
            incoming.write(body)
            submit_files(queue, [Arrived(incoming, uri)], tenant="default", collection="default")
    queue.close()
    worked = ragstone("jobs", "work", "--until-empty", *at, "--json")
    assert worked.code == 0, worked.stderr
    assert not mismatches(worked.json, JobsRecord)
    assert worked.json["counts"] == {"done": 1, "failed": 1}
    assert "a.md" in ragstone("search", "pump", "--mode", "lexical", *at).out
    listed = ragstone("jobs", "list", "--state", "failed", *at, "--json")
    assert not mismatches(listed.json, JobsRecord)
    (failed,) = listed.json["jobs"]
    assert failed["failures"][0]["code"] == "DamagedFile"
    again = ragstone("jobs", "retry", failed["id"], *at, "--json")
    assert not mismatches(again.json, JobRecord)
    assert again.json["job"]["state"] == "queued"
    assert ragstone("jobs", "cancel", failed["id"], *at).code == 0
    assert "cancelled" in ragstone("jobs", "show", failed["id"], *at).out
    assert ragstone("jobs", "retry", failed["id"], *at).code == 2  # its file is gone
    assert list((data / "uploads").iterdir()) == []
