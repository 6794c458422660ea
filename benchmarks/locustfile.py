"""The mix of `ragstone stress load` as a Locust scenario, for those who want its page and its distributed runs.

    pip install locust
    RAGSTONE_KEY=rgs_… locust -f benchmarks/locustfile.py --host http://127.0.0.1:8765

Locust waits for an answer before a user asks again, so a server that stands still is asked less: the latencies of
`ragstone stress load` count from when a request was due.
"""

from __future__ import annotations

import os
import random
import uuid

from locust import HttpUser, between, task

QUESTIONS = ("pressure of the valve", "oil level of the pump", "Druck am Ventil", "alarm of the sensor")
COLLECTION = os.environ.get("RAGSTONE_COLLECTION", "default")


class Person(HttpUser):
    wait_time = between(0.5, 2.0)

    def on_start(self) -> None:
        self.client.headers["Authorization"] = f"Bearer {os.environ['RAGSTONE_KEY']}"

    @task(90)
    def search(self) -> None:
        self.client.post("/v1/search", json={"query": random.choice(QUESTIONS), "collections": [COLLECTION]})

    @task(8)
    def ask(self) -> None:
        self.client.post("/v1/ask", json={"question": random.choice(QUESTIONS), "collections": [COLLECTION]})

    @task(2)
    def upload(self) -> None:
        uri = f"load-{uuid.uuid4()}.txt"
        self.client.post(
            f"/v1/collections/{COLLECTION}/documents",
            params={"uri": uri},
            data=f"{uri}\n\nThe oil level of the pump is checked each week.",
            headers={"Content-Type": "text/plain"},
            name="/v1/collections/{c}/documents",
        )
