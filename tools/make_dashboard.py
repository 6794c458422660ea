"""Writes deploy/grafana/ragstone.json: the dashboard, whose panels are listed here.

    python tools/make_dashboard.py [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "deploy/grafana/ragstone.json"
SOURCE = {"type": "prometheus", "uid": "${source}"}
QUANTILES = (0.5, 0.95, 0.99)


def quantiles(metric: str, by: str = "", where: str = "") -> list[tuple[str, str]]:
    groups = f"le, {by}" if by else "le"
    named = f" {{{{{by}}}}}" if by else ""
    return [
        (f"histogram_quantile({q}, sum by ({groups}) (rate({metric}_bucket{where}[$__rate_interval])))", f"p{q * 100:g}{named}")
        for q in QUANTILES
    ]


def rate(metric: str, by: str) -> tuple[str, str]:
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))", f"{{{{{by}}}}}"


PANELS: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("Requests", "reqps", [rate("ragstone_http_requests_total", "status")]),
    ("Requests to the end of the answer", "s", quantiles("ragstone_http_seconds")),
    ("Searches", "s", quantiles("ragstone_search_seconds")),
    ("Stages of a search, p99", "s", quantiles("ragstone_search_stage_seconds", "stage")[-1:]),
    ("Answers", "s", quantiles("ragstone_answer_seconds", "kind")[1:2]),
    ("First text of language models", "s", quantiles("ragstone_llm_first_token_seconds", "model")[1:]),
    ("Searches from memory", "percentunit", [(
        'sum(rate(ragstone_search_seconds_count{cached="yes"}[$__rate_interval])) / sum(rate(ragstone_search_seconds_count[$__rate_interval]))',
        "share",
    )]),
    ("Event loop late, p99", "s", quantiles("ragstone_event_loop_lag_seconds")[-1:]),
    ("Processor", "percentunit", [rate("ragstone_process_cpu_seconds_total", "role")]),
    ("Memory", "bytes", [("sum by (role) (ragstone_process_resident_bytes)", "{{role}}")]),
    ("Tokens", "short", [rate("ragstone_tokens_total", "kind")]),
    ("Cost in an hour", "currencyUSD", [("sum by (model) (increase(ragstone_cost_dollars_total[1h]))", "{{model}}")]),
    ("Budget left", "currencyUSD", [("ragstone_budget_left_dollars", "{{budget}}")]),
    ("Jobs", "short", [("ragstone_jobs", "{{state}}")]),
    ("Chunks", "short", [("sum by (state) (ragstone_collection_chunks)", "{{state}}")]),
    ("Keys in use", "short", [("ragstone_active_keys", "last five minutes")]),
    ("Calls of language models", "reqps", [rate("ragstone_llm_calls_total", "outcome")]),
    ("Documents taken in", "short", [rate("ragstone_documents_total", "state")]),
]
"""Title, unit, and (expression, legend) of each."""


def dashboard() -> dict[str, object]:
    panels = [
        {
            "id": number + 1, "type": "timeseries", "title": title, "datasource": SOURCE,
            "gridPos": {"x": number % 3 * 8, "y": number // 3 * 8, "w": 8, "h": 8},
            "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
            "targets": [
                {"refId": chr(65 + i), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
                for i, (expression, legend) in enumerate(targets)
            ],
        }
        for number, (title, unit, targets) in enumerate(PANELS)
    ]  # fmt: skip
    return {
        "title": "Ragstone",
        "uid": "ragstone",
        "schemaVersion": 39,
        "editable": True,
        "refresh": "15s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus", "label": "Source"}]},
        "panels": panels,
    }


def main(arguments: list[str]) -> int:
    text = json.dumps(dashboard(), indent=2) + "\n"
    if arguments == ["--check"]:
        if not FILE.exists() or FILE.read_text("utf-8") != text:
            print(f"{FILE.name} is stale: python tools/make_dashboard.py", file=sys.stderr)
            return 1
        return 0
    FILE.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
