"""A report as one HTML file: no script, nothing fetched, everything from the models escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from . import charts
from .tables import Table, changes, number, seconds, setup, size, tables

_STYLE = """
:root{--ink:#1f2933;--soft:#5f6c7b;--line:#dfe3e8;--bg:#f5f7f9;--go:#00755a;--wait:#a15c00}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,-apple-system,
"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}main{max-width:1220px;margin:0 auto;padding:28px 24px 60px}
h1{font-size:26px;margin:0 0 2px}h2{font-size:17px;margin:0 0 10px}.sub{color:var(--soft);margin:0 0 20px}
.card{background:#fff;border:1px solid var(--line);border-radius:10px;padding:18px 20px;margin:0 0 18px}
.verdict{border-left:6px solid var(--go)}.verdict.open{border-left-color:var(--wait)}
.verdict p.first{font-size:19px;font-weight:600;margin:0 0 8px}.verdict ul{margin:0;padding-left:20px;color:#39444f}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(480px,1fr));gap:18px}.grid .card{margin:0}
.models{display:grid;grid-template-columns:repeat(auto-fit,minmax(240px,1fr));gap:18px;margin:0 0 18px}
.models .card{margin:0;border-top:5px solid var(--c)}.models b{font-size:16px;overflow-wrap:anywhere}
.models dl{display:grid;grid-template-columns:1fr auto;gap:2px 12px;margin:8px 0 0}.models dt{color:var(--soft)}
.models dd{margin:0;font-variant-numeric:tabular-nums;text-align:right}svg{width:100%;height:auto;display:block}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th:first-child,td:first-child{text-align:left;white-space:normal}th{font-weight:600;color:var(--soft)}
.note{color:var(--soft);font-size:13px;margin:8px 0 0}.better{color:var(--go)}.worse{color:#b42318}
details{border-bottom:1px solid var(--line);padding:7px 0}summary{cursor:pointer}summary span{color:var(--soft)}
.answer{border-left:4px solid var(--c);padding:4px 12px;margin:8px 0}.answer p{margin:2px 0;white-space:pre-wrap;
overflow-wrap:anywhere}.answer .note{margin:2px 0}@media print{body{background:#fff}.card{break-inside:avoid}}
"""


def page(report: Mapping[str, Any]) -> str:
    colors = {m["name"]: charts.COLORS[i % len(charts.COLORS)] for i, m in enumerate(report["models"])}
    body = "\n".join(_body(report, colors))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>Comparison of language models</title><style>{_STYLE}</style></head>\n<body><main>\n{body}\n"
        "</main></body></html>\n"
    )


def _body(report: Mapping[str, Any], colors: Mapping[str, str]) -> Iterator[str]:
    advice = report["recommendation"]
    first, *rest = advice["text"]
    facts = dict(setup(report))
    yield "<h1>Comparison of language models</h1>"
    about = f"{facts['answers']} answers to {facts['asked']} · {facts['begun']}"
    yield f'<p class="sub">{escape(about)}</p>'
    reasons = "".join(f"<li>{escape(line)}</li>" for line in rest)
    kind = "" if advice["decided"] else " open"
    yield f'<section class="card verdict{kind}"><p class="first">{escape(first)}</p><ul>{reasons}</ul></section>'
    yield '<div class="models">' + "".join(_card(m, report, colors) for m in report["models"]) + "</div>"
    yield '<div class="grid">' + "".join(_charts(report, colors)) + "</div><br>"
    moved = changes(report)
    for table in (*((moved,) if moved is not None else ()), *tables(report)):
        yield f'<section class="card"><h2>{escape(table.title)}</h2>{_table(table)}</section>'
    answers = "".join(_question(question, colors) for question in report["questions"])
    yield f'<section class="card"><h2>Questions and answers</h2><p class="note">First round.</p>{answers}</section>'
    rows = "".join(f"<tr><td>{escape(a)}</td><td>{escape(b)}</td></tr>" for a, b in facts.items())
    measured = f'<div class="wide"><table>{rows}</table></div><p class="note">{_METHOD}</p>'
    yield f'<section class="card"><h2>How it was measured</h2>{measured}</section>'


_METHOD = """Every model got the same messages (their hash is in report.json). A model that was just loaded answers a
short question first, which is not counted; prompt caches are otherwise as after a start. Quality, where no people rate:
share of expected topics said × (1 + mean of sentences supported, language right, citations right) / 2; failures are 0;
where the documents do not tell, “no answer” is 1. Extractive answers quote the documents, so they are supported and in
the documents' language by construction; they neither summarise nor translate. Intervals resample the questions."""


def _card(model: Mapping[str, Any], report: Mapping[str, Any], colors: Mapping[str, str]) -> str:
    held = (model["memory_bytes"] or 0) + (model["gpu_bytes"] or 0)
    rows = {
        "points of 100": f"{report['decision']['totals'][model['name']]['total']:.0f}",
        "quality": number(model["quality"]["mean"], 2),
        "first token": seconds(model["first_token"]["p50"] if model["first_token"] else None),
        "whole answer": seconds(model["seconds"]["p50"] if model["seconds"] else None),
        "memory": size(held),
        "failures": str(model["failures"]),
    }
    facts = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows.items())
    color = colors[model["name"]]
    return f'<div class="card" style="--c:{color}"><b>{escape(model["name"])}</b><dl>{facts}</dl></div>'


def _charts(report: Mapping[str, Any], colors: Mapping[str, str]) -> Iterator[str]:
    models, decision = report["models"], report["decision"]
    timed = [m for m in models if m["seconds"] is not None]

    def chart(title: str, drawing: str) -> str:
        return f'<section class="card"><h2>{title}</h2>{drawing}</section>'

    if timed:
        dots = [
            charts.Dot(
                m["name"],
                max(m["seconds"]["p50"], 1e-4),
                m["quality"]["mean"],
                m["quality"]["low"],
                m["quality"]["high"],
                colors[m["name"]],
            )
            for m in timed
        ]
        yield chart("Speed and quality", charts.speed_quality(dots))
    yield chart("Decision: points by criterion", charts.points(decision, decision["order"]))
    for key, title in (("by_tier", "Quality by kind of question"), ("by_language", "Quality by language")):
        groups = {
            g: {m["name"]: m[key][g] for m in models if g in m[key]}
            for g in sorted({g for m in models for g in m[key]})
        }
        words = {"1": "1 fact", "2": "2 explanation", "3": "3 combination", "de": "German", "en": "English"}
        yield chart(title, charts.bars({words.get(g, g): v for g, v in groups.items()}, colors, title))
    if timed:
        rows = [(m["name"], m["first_token"]["p50"], m["seconds"]["p50"], colors[m["name"]]) for m in timed]
        yield chart("First token (dark) and whole answer, median", charts.times(rows))
    if report["pairs"]:
        duels = [(p["a"], p["b"], *(p["rate"][k] for k in ("mean", "low", "high"))) for p in report["pairs"]]
        yield chart("Head to head: questions won by the first", charts.rates(duels))


def _table(table: Table) -> str:
    heads = "".join(f"<th>{escape(head)}</th>" for head in table.heads)
    rows = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in table.rows)
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>{note}'


def _cell(text: str) -> str:
    mark = f' class="{text}"' if text in ("better", "worse") else ""
    return f"<td{mark}>{escape(text)}</td>"


def _question(question: Mapping[str, Any], colors: Mapping[str, str]) -> str:
    answers = []
    for name, answer in question["models"].items():
        text = answer["shown"] or (f"failed: {answer['error']['message']}" if answer["error"] else "no answer")
        cut = " · cut off at the limit" if answer["finish"] == "length" else ""
        head = f"{escape(name)} · quality {answer['quality']:.2f}{cut}"
        answers.append(
            f'<div class="answer" style="--c:{colors[name]}"><p class="note">{head}</p><p>{escape(text)}</p></div>'
        )
    expected = "the documents do not tell" if question["refuse"] else question["answer"]
    gold = f'<p class="note">Expected: {escape(expected)}</p>' if expected else ""
    about = f"({question['language']}, {_tier(question['tier'])})"
    head = f"{escape(question['question'])} <span>{escape(about)}</span>"
    return f"<details><summary>{head}</summary>{gold}{''.join(answers)}</details>"


def _tier(tier: str) -> str:
    return tier if tier == "follow-up" else f"tier {tier}"
