"""The OpenAPI document, made of the operations: their types are what msgspec decodes with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec

from .. import __version__
from .examples import PROBLEM, answers
from .operations import Operation
from .problems import MEDIA_TYPE, Problem

REFERENCE: Final = "#/components/schemas/{name}"
ALWAYS: Final = (400, 403, 421, 500, 503)
"""Statuses that any operation may give."""
SIGNED_IN: Final = (401, 429, 504)
_IN_PATH: Final = {"page": {"type": "integer", "minimum": 1}}
EVENTS: Final = {
    "type": "object",
    "description": "Of each event; `data` is JSON.",
    "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}


def document(operations: Sequence[Operation]) -> dict[str, Any]:
    operations = [operation for operation in operations if operation.described]
    examples = answers()
    types: list[Any] = [Problem]
    for operation in operations:
        types += [kind for kind in (operation.query, operation.body, *_results(operation)) if kind is not None]
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    made = iter(schemas[1:])
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        query, body = (next(made) if kind is not None else None for kind in (operation.query, operation.body))
        results = [next(made) for _ in _results(operation)]
        result = {"anyOf": results} if len(results) > 1 else results[0] if results else None
        entry = _operation(operation, _properties(query, components), body, result, schemas[0])
        _exemplify(entry, operation, examples)
        paths.setdefault(operation.path, {})[operation.method.lower()] = entry
    used = {k: v for k, v in components.items() if not _is_query(k, operations)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ragstone",
            "version": __version__,
            "description": "Documents in, answers with checkable citations out. Offsets count Unicode code points.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key: rgs_…"}},
            "schemas": used,
        },
    }


def _results(operation: Operation) -> tuple[Any, ...]:
    if operation.result is None:
        return ()
    return operation.result if isinstance(operation.result, tuple) else (operation.result,)


def _is_query(name: str, operations: Sequence[Operation]) -> bool:
    return any(operation.query is not None and operation.query.__name__ == name for operation in operations)


def _operation(operation: Operation, query: list[Any], body: Any, result: Any, problem: Any) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.group],
        "parameters": [*_path_parameters(operation.path), *query],
        "responses": _responses(operation, result, problem),
    }
    if operation.description:
        entry["description"] = operation.description
    if operation.scope is None:
        entry["security"] = []
    else:
        entry["x-scope"] = operation.scope
    if operation.content:
        entry["requestBody"] = {"required": True, "content": dict(operation.content)}
    elif body is not None:
        content: dict[str, Any] = {"schema": {**body, **operation.rule}}
        if operation.example is not None:
            content["example"] = operation.example
        entry["requestBody"] = {"required": True, "content": {"application/json": content}}
    return entry


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _IN_PATH.get(name, {"type": "string", "minLength": 1})}
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _properties(query: Any, components: dict[str, Any]) -> list[dict[str, Any]]:
    if query is None:
        return []
    shape = components[query["$ref"].rpartition("/")[2]]
    found = []
    for name, schema in shape["properties"].items():
        described = dict(schema)
        text = described.pop("description", "")
        options = [option for option in described.get("anyOf", ()) if option != {"type": "null"}]
        if options:  # a query has no null: what may be left out is left out
            described = dict(options[0])
        parameter = {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": described}
        found.append({**parameter, "description": text} if text else parameter)
    return found


def _responses(operation: Operation, result: Any, problem: Any) -> dict[str, Any]:
    good: dict[str, Any] = {"description": HTTPStatus(operation.status).phrase}
    if result is not None:
        content: dict[str, Any] = {"schema": result if result.get("contentEncoding") is None else {"format": "binary"}}
        good["content"] = dict.fromkeys(operation.media_type.split(", "), content)
    if operation.streams:
        good.setdefault("content", {})["text/event-stream"] = {"schema": EVENTS}
    if operation.links:
        good["links"] = {
            name: {"operationId": name, "parameters": dict(parameters)} for name, parameters in operation.links.items()
        }
    responses = {str(operation.status): good}
    statuses = {*ALWAYS, *operation.errors}
    if operation.scope is not None:
        statuses |= {*SIGNED_IN}
    if operation.body is not None or operation.content:
        statuses |= {413, 415}
    if operation.conditional:
        good["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "for If-None-Match"}}
        responses["304"] = {"description": "What you have is still right."}
    for status in sorted(statuses):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {MEDIA_TYPE: {"schema": problem, "example": {**PROBLEM, **_status(status)}}},
        }
    return responses


def _exemplify(entry: dict[str, Any], operation: Operation, examples: Mapping[str, Any]) -> None:
    content = entry["responses"][str(operation.status)].get("content", {}).get("application/json")
    if content is not None and operation.name in examples:
        content["example"] = examples[operation.name]


def _status(status: int) -> dict[str, Any]:
    return {"title": HTTPStatus(status).phrase, "status": status}


def markdown(operations: Sequence[Operation]) -> str:
    """docs/api.md: every operation with its scope, parameters and an example."""
    whole = document(operations)
    groups: dict[str, list[str]] = {}
    for path, methods in whole["paths"].items():
        for method, entry in methods.items():
            groups.setdefault(entry["tags"][0], []).append(_section(method.upper(), path, entry))
    return "\n\n".join(part for group, parts in groups.items() for part in (f"## {group.capitalize()}", *parts))


def _section(method: str, path: str, entry: dict[str, Any]) -> str:
    scope = entry.get("x-scope")
    lines = [f"### {method} {path}", f"{entry['summary']} " + (f"Scope: {scope}." if scope else "No key is needed.")]
    if "description" in entry:
        lines.append(entry["description"])
    query = [p for p in entry["parameters"] if p["in"] == "query"]
    if query:
        lines.append("Query: " + ", ".join(_parameter(p) for p in query) + ".")
    for kind, content in entry.get("requestBody", {}).get("content", {}).items():
        line = f"Body: `{kind}`" + (f", {_name(content['schema'])}." if "$ref" in content["schema"] else ".")
        lines.append(line)
        if "example" in content:
            lines.append(f"```json\n{msgspec.json.encode(content['example']).decode()}\n```")
    good = ", ".join(_good(s, response) for s, response in entry["responses"].items() if int(s) < 400)
    errors = ", ".join(status for status in entry["responses"] if int(status) >= 400)
    lines.append(f"Gives {good}. Errors: {errors}.")
    return "\n\n".join(lines)


def _good(status: str, response: dict[str, Any]) -> str:
    schemas = (content["schema"] for content in response.get("content", {}).values())
    return " ".join([status, *(_name(schema) for schema in schemas if "$ref" in schema)])


def _parameter(parameter: dict[str, Any]) -> str:
    text = f"`{parameter['name']}`"
    return f"{text} ({parameter['description']})" if "description" in parameter else text


def _name(schema: dict[str, Any]) -> str:
    return f"`{schema['$ref'].rpartition('/')[2]}`"
