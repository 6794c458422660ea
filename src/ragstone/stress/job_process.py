"""The processes of the test `jobs`: `sender FOLDER` takes [uri, version, key] from stdin, one a line, and tells
[uri, version, job id] when the upload is acknowledged; `worker FOLDER` works until it is killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ..assemble import open_queue
from ..jobs.intake import Arrived, submit_files
from ..jobs.uploads import Uploads
from ..jobs.worker import Worker
from ..knowledge_base import KnowledgeBase
from ..protocols import Queue
from .texts import text
from .workload import open_folder, settings

SENDERS: Final = 8
"""Uploads under way at once in one process."""
PIECE: Final = 512
TENANT: Final = "t"
COLLECTION: Final = "uploads"
LEASE_SECONDS: Final = 2.0


def send(queue: Queue, uploads: Uploads, uri: str, version: int, key: str) -> str:
    """Uploads one version of a document, in pieces as from a client; returns its job's id."""
    data = text(uri, version).encode()
    with uploads.incoming(1 << 20) as incoming:
        for start in range(0, len(data), PIECE):
            incoming.write(data[start : start + PIECE])
        arrived = [Arrived(incoming, uri, "text/plain")]
        return submit_files(queue, arrived, tenant=TENANT, collection=COLLECTION, idempotency_key=key).id


@contextmanager
def using(folder: Path) -> Iterator[Worker]:
    """A worker over the folder."""
    queue = open_queue(settings(folder))
    try:
        with open_folder(folder) as kb:

            @contextmanager
            def use(_: str) -> Iterator[KnowledgeBase]:
                yield kb

            yield Worker(queue, use, lambda _: Uploads(folder), lease_seconds=LEASE_SECONDS)
    finally:
        queue.close()


def main(role: str, folder: Path) -> None:
    if role == "worker":
        with using(folder) as worker:
            print("ready", flush=True)  # noqa: T201 - to the process that started this one
            worker.run()
        return
    queue, uploads = open_queue(settings(folder)), Uploads(folder)
    print("ready", flush=True)  # noqa: T201 - to the process that started this one

    def sent(line: str) -> None:
        uri, version, key = json.loads(line)
        id_ = send(queue, uploads, uri, version, key)
        sys.stdout.write(json.dumps([uri, version, id_]) + "\n")
        sys.stdout.flush()

    with ThreadPoolExecutor(SENDERS) as pool:
        for line in sys.stdin:
            pool.submit(sent, line)
    queue.close()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
