"""Tools, resources and prompts as one MCP server, whatever it is reached over."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.shared.exceptions import MCPError

from ..errors import Forbidden, RagstoneError
from . import prompts, resources
from .greeting import INSTRUCTIONS, SERVER
from .hints import for_agents
from .reach import Fault, Reach, ToolCall
from .tools import TOOLS, Tool, offered

Context = ServerRequestContext[Any, Any]
ReachOf = Callable[[Context], Reach]
T = TypeVar("T")

UNKNOWN_RESOURCE: Final = -32_002
"""JSON-RPC code of a resource that is not there, as the protocol names it."""

log = logging.getLogger(__name__)


def surface(reach_of: ReachOf) -> Server[Any]:
    """`reach_of` tells for each request what it may reach."""

    async def list_tools(context: Context, _: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(
            tools=[types.Tool.model_validate(tool.described) for tool in offered(reach_of(context).writable)]
        )

    async def call_tool(context: Context, asked: types.CallToolRequestParams) -> types.CallToolResult:
        tool = TOOLS.get(asked.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"Unknown tool: {asked.name[:100]}. tools/list names them.")
        return await _called(tool, reach_of(context), asked.arguments, context)

    async def list_resources(
        context: Context, asked: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        cursor = asked.cursor if asked is not None else None
        reach = reach_of(context)
        return await _protocol(reach, reach.run("work", lambda kb: resources.page(kb, cursor)))

    async def list_templates(
        _context: Context, _: types.PaginatedRequestParams | None
    ) -> types.ListResourceTemplatesResult:
        return types.ListResourceTemplatesResult(resource_templates=list(resources.TEMPLATES))

    async def read_resource(context: Context, asked: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        reach, address = reach_of(context), str(asked.uri)
        return await _protocol(reach, reach.run("search", lambda kb: resources.read(kb, address)))

    async def list_prompts(_context: Context, _: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        return prompts.listed()

    async def get_prompt(context: Context, asked: types.GetPromptRequestParams) -> types.GetPromptResult:
        async def made() -> types.GetPromptResult:
            return prompts.got(asked.name, asked.arguments or {})

        return await _protocol(reach_of(context), made())

    return Server(
        SERVER["name"],
        version=SERVER["version"],
        title=SERVER["title"],
        instructions=INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_templates,
        on_read_resource=read_resource,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
    )


async def _called(
    tool: Tool, reach: Reach, arguments: Mapping[str, Any] | None, context: Context
) -> types.CallToolResult:
    """Every error of a tool is a result that says so: the model can act on it."""
    started, outcome = time.perf_counter(), "cancelled"
    loop = asyncio.get_running_loop()
    notes: asyncio.Queue[tuple[float, float | None, str] | None] = asyncio.Queue()

    def tell(done: float, total: float | None, said: str) -> None:
        loop.call_soon_threadsafe(notes.put_nowait, (done, total, said))

    async def report() -> None:
        while (note := await notes.get()) is not None:
            await context.session.report_progress(*note)

    reporting = asyncio.create_task(report())
    try:
        if tool.write and not reach.writable:
            raise Forbidden("this client may only read.", "Go on without writing, or ask for a key that may write.")
        result = await tool.run(ToolCall(reach, tool.decoded(arguments), tell))
        notes.put_nowait(None)
        await reporting
        outcome = "ok"
    except Exception as error:  # noqa: BLE001 - the model learns of it
        fault = _told(reach, error)
        outcome = fault["code"]
        return _failed(fault)
    finally:
        reporting.cancel()
        spent = round((time.perf_counter() - started) * 1000.0, 1)
        said = {"tool": tool.name, "outcome": outcome, "milliseconds": spent}
        log.info("%s %s %.1f ms", tool.name, outcome, spent, extra={"fields": said})
    text = types.TextContent(type="text", text=tool.text(result))
    return types.CallToolResult(content=[text], structured_content=result)


async def _protocol(reach: Reach, work: Awaitable[T]) -> T:
    """Errors of what is no tool are the protocol's."""
    try:
        return await work
    except Exception as error:
        fault = _told(reach, error)
        missing = isinstance(error, RagstoneError) and error.http_status == 404
        known = isinstance(error, RagstoneError) and error.http_status < 500
        code = UNKNOWN_RESOURCE if missing else types.INVALID_PARAMS if known else types.INTERNAL_ERROR
        raise MCPError(code, f"{fault['detail']} {fault['hint']}".strip(), dict(fault)) from error


def _told(reach: Reach, error: Exception) -> Fault:
    fault = reach.fault(error)
    return {**fault, "hint": for_agents(fault["hint"])}


def _failed(fault: Fault) -> types.CallToolResult:
    again = " It can be tried again." if fault["retryable"] else ""
    said = f"{fault['code']}: {fault['detail']} {fault['hint']}".strip() + again
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=said)], structured_content={"error": fault}, is_error=True
    )
