"""Source code: the file is the text; definitions are its headings, by light-weight patterns per language.

A section begins at the comments and decorators directly above its definition. Nesting follows indentation.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

from ...types import Blob, Heading, MetadataValue, ParsedDocument
from ..limits import ReadLimits
from .registry import extension
from .text import decode


@dataclass(frozen=True, slots=True)
class _Language:
    """`pattern` has the groups `kind` (may be empty) and `name`; it is tried at the beginning of each line."""

    name: str
    pattern: re.Pattern[str] | None
    comment: tuple[str, ...] = ("//", "/*", "*", "@", "#[")


def _pattern(*alternatives: str, flags: int = 0) -> re.Pattern[str]:
    named = "|".join(alternatives)
    return re.compile(rf"^(?P<indent>[ \t]{{0,120}})(?:{named})", re.M | flags)


_WORD = r"[A-Za-z_$][\w$]*"
_NOT_CALL = (
    r"(?![ \t]{0,4}(?:if|for|while|switch|catch|return|else|do|new|throw|sizeof|await|function|synchronized|using"
    r"|lock)\b)"
)
_MODIFIERS = (
    r"(?:(?:public|private|protected|internal|static|final|abstract|sealed|override|virtual|async|synchronized|native"
    r"|default|partial|readonly|export|declare|open|inline|suspend|data|implicit|case|lazy|unsafe|extern|new|inner"
    r"|fileprivate|mutating|required|convenience|factory|external|const|pub(?:\([\w: ]+\))?)[ \t]+){0,6}"
)

_PYTHON = _pattern(rf"(?:async[ \t]+)?(?P<kind>def|class)[ \t]+(?P<name>{_WORD})")
_SCRIPT = _pattern(
    rf"(?:export[ \t]+(?:default[ \t]+)?)?{_MODIFIERS}"
    rf"(?:(?P<kind>class|interface|enum|namespace|module|type|function\*?)[ \t]+"
    rf"|(?:const|let|var)[ \t]+(?={_WORD}[^=\n]{{0,80}}=[ \t]*(?:async[ \t]*)?"
    rf"(?:function\b|\([^)\n]*\)[^=\n]{{0,60}}=>"
    rf"|{_WORD}[ \t]*=>))"
    rf"|{_NOT_CALL}(?=(?:[*#]|get |set )?[ \t]{{0,4}}{_WORD}[ \t]*\([^()\n]*\)[^;\n=(]{{0,80}}\{{[ \t]*$))"
    rf"(?:[*#]|get |set )?[ \t]{{0,4}}(?P<name>{_WORD})"
)
_JVM = _pattern(
    rf"{_MODIFIERS}(?:(?P<kind>class|interface|enum|record|struct|namespace|object|trait|fun|def|delegate|extension"
    rf"|mixin|package object|annotation class|@interface)[ \t]+(?:<[^>\n]{{0,80}}>[ \t]*)?(?:{_WORD}\.)?"
    rf"|{_NOT_CALL}(?:[\w<>\[\],.?]+[ \t]+){{1,3}}(?={_WORD}[ \t]*\([^;\n]{{0,300}}$)"
    rf"|{_NOT_CALL}(?=[A-Z]\w*[ \t]*\([^;\n]{{0,300}}\{{[ \t]*$))(?P<name>{_WORD})"
)
_C = _pattern(
    rf"(?:typedef[ \t]+)?(?P<kind>class|struct|enum class|enum|union|namespace)[ \t]+(?:\w+\([^)\n]*\)[ \t]+)?"
    rf"(?P<name>{_WORD})(?=[ \t]*(?:final)?[ \t]*(?:[:{{]|$))(?![^\n]*;)",
    rf"(?:template[ \t]*<[^>\n]*>[ \t]*)?{_NOT_CALL}(?:[A-Za-z_][\w:<>,]*[ \t*&]+){{1,6}}"
    rf"(?P<function>(?:\w+::)*~?{_WORD}|operator[^\s(]{{1,3}})[ \t]*\([^;\n]{{0,300}}$(?!\n[^\n{{]*;)",
)
_LANGUAGES: dict[str, _Language] = {}


def _add(extensions: str, language: _Language) -> None:
    for name in extensions.split():
        _LANGUAGES[name] = language


_HASH = ("#", "@")
_add("py pyi pyw", _Language("python", _PYTHON, _HASH))
_add("js mjs cjs jsx", _Language("javascript", _SCRIPT))
_add("ts tsx mts", _Language("typescript", _SCRIPT))
_add("java", _Language("java", _JVM))
_add("kt kts", _Language("kotlin", _JVM))
_add("scala", _Language("scala", _JVM))
_add("cs", _Language("csharp", _JVM, ("//", "/*", "*", "[")))
_add("dart", _Language("dart", _JVM))
_add("c h", _Language("c", _C))
_add("cc cpp cxx hpp hh hxx", _Language("cpp", _C))
_add("m mm", _Language("objective-c", _pattern(
    rf"(?P<kind>@interface|@implementation|@protocol)[ \t]+(?P<name>{_WORD})"
    rf"|[-+][ \t]*\([^)\n]*\)[ \t]*(?P<function>{_WORD})"
)))  # fmt: skip
_add("go", _Language("go", _pattern(
    rf"(?P<kind>func)[ \t]+(?:\([^)\n]*\)[ \t]*)?(?P<name>{_WORD})|type[ \t]+(?P<function>{_WORD})"
)))  # fmt: skip
_add("rs", _Language("rust", _pattern(
    rf"{_MODIFIERS}(?P<kind>fn|struct|enum|trait|mod|union|type|macro_rules!|impl)(?:<[^>\n]*>)?[ \t]+"
    r"(?P<name>[^\s(<{;=]+)"
)))  # fmt: skip
_add("swift", _Language("swift", _pattern(
    rf"{_MODIFIERS}(?P<kind>func|class|struct|enum|protocol|extension|actor)[ \t]+(?P<name>{_WORD})"
)))  # fmt: skip
_add("rb", _Language("ruby", _pattern(r"(?P<kind>def|class|module)[ \t]+(?P<name>[\w.:?!=]+)"), _HASH))
_add("php", _Language("php", _pattern(
    rf"{_MODIFIERS}(?P<kind>function|class|interface|trait|enum|namespace)[ \t]+&?(?P<name>[\w\\]+)"
)))  # fmt: skip
_add("pl pm", _Language("perl", _pattern(r"(?P<kind>sub|package)[ \t]+(?P<name>[\w:]+)"), _HASH))
_add("lua", _Language("lua", _pattern(r"(?:local[ \t]+)?(?P<kind>function)[ \t]+(?P<name>[\w.:]+)"), ("--",)))
_add("sh bash zsh ksh", _Language("shell", _pattern(
    r"(?P<kind>function)[ \t]+(?P<name>[\w:.-]+)|(?P<function>[\w:.-]+)[ \t]*\(\)"
), ("#",)))  # fmt: skip
_add(
    "ps1",
    _Language("powershell", _pattern(r"(?P<kind>function|class|filter)[ \t]+(?P<name>[\w:-]+)", flags=re.I), ("#",)),
)
_add("r", _Language("r", _pattern(r"(?P<name>[\w.]+)[ \t]*(?:<-|=)[ \t]*(?P<kind>function)\b"), ("#",)))
_add("jl", _Language("julia", _pattern(
    r"(?:mutable[ \t]+)?(?P<kind>function|struct|module|macro|abstract type)[ \t]+(?P<name>[\w.!]+)"
), ("#", '"""')))  # fmt: skip
_add("hs", _Language("haskell", _pattern(
    r"(?P<kind>data|newtype|class|instance|module|type)[ \t]+(?P<name>[\w. ']+)|(?P<function>[a-z_][\w']*)[ \t]*::"
), ("--",)))  # fmt: skip
_add("ex exs", _Language("elixir", _pattern(r"(?P<kind>defmodule|defp?|defmacro)[ \t]+(?P<name>[\w.?!]+)"), ("#", "@")))
_add(
    "erl", _Language("erlang", _pattern(r"(?P<name>[a-z]\w*)\([^)\n]*\)(?:[ \t]+when[^\n]*)?[ \t]*->"), ("%", "-spec"))
)
_add(
    "clj",
    _Language(
        "clojure", _pattern(r"\((?P<kind>defn-?|def|defmacro|ns|defprotocol|defrecord)[ \t]+(?P<name>[^\s()]+)"), (";",)
    ),
)
_add("f90 f95 f", _Language("fortran", _pattern(
    r"(?:(?:pure|elemental|recursive|integer|real|logical|double precision)[ \t]+)*"
    r"(?P<kind>subroutine|function|module|program)[ \t]+(?P<name>\w+)", flags=re.I), ("!", "c ")))  # fmt: skip
_add("pas", _Language("pascal", _pattern(
    r"(?P<kind>procedure|function|constructor|destructor|unit|program)[ \t]+(?P<name>[\w.]+)", flags=re.I
), ("//", "{", "(*")))  # fmt: skip
_add("vb", _Language("visualbasic", _pattern(
    rf"{_MODIFIERS}(?P<kind>sub|function|class|module|structure|property)[ \t]+(?P<name>\w+)", flags=re.I
), ("'",)))  # fmt: skip
_add("sql", _Language("sql", _pattern(
    r"create[ \t]+(?:or[ \t]+replace[ \t]+)?(?:temp(?:orary)?[ \t]+|unique[ \t]+|virtual[ \t]+|materialized[ \t]+)?"
    r"(?P<kind>table|view|function|procedure|trigger|index|type|schema)[ \t]+(?:if[ \t]+not[ \t]+exists[ \t]+)?"
    r"(?P<name>[\w.\"`\[\]]+)", flags=re.I), ("--",)))  # fmt: skip
_add("st iecst scl", _Language("iec61131-3", _pattern(
    r"(?P<kind>function_block|function|program|type|method|interface|organization_block|data_block|action|property)"
    r"[ \t]+(?:(?:public|private|protected|internal|abstract|final)[ \t]+)*(?P<name>[\w.\"]+)", flags=re.I
), ("//", "(*", "{")))  # fmt: skip
_add("proto", _Language("protobuf", _pattern(r"(?P<kind>message|service|enum|rpc)[ \t]+(?P<name>\w+)")))
_add("css scss", _Language("css", None))

_SHEBANG = re.compile(r"#!.*?\b(python|bash|zsh|ksh|sh|perl|ruby|node|php|lua|Rscript)")
_SHEBANGS = {"python": "py", "node": "js", "perl": "pl", "ruby": "rb", "Rscript": "r"}
_IMPL = re.compile(r"impl(?:<[^>\n]*>)?[ \t]+([^{\n]+)")


def read(blob: Blob, _limits: ReadLimits) -> ParsedDocument:
    text, encoding = decode(blob.data)
    language = _LANGUAGES.get(extension(blob.uri)) or _by_shebang(text)
    name = blob.uri.replace("\\", "/").rpartition("/")[2]
    metadata: dict[str, MetadataValue] = {}
    headings: tuple[Heading, ...] = ()
    media_type = "text/plain"
    if language is not None:
        metadata["programming_language"] = language.name
        media_type = f"text/x-{language.name}"
        headings = definitions(text, language)
    if encoding != "utf-8":
        metadata["encoding"] = encoding
    return ParsedDocument(text=text, title=name, media_type=media_type, headings=headings, metadata=metadata)


def _by_shebang(text: str) -> _Language | None:
    match = _SHEBANG.match(text[:200])
    return _LANGUAGES.get(_SHEBANGS.get(match[1], match[1])) if match else None


def definitions(text: str, language: _Language) -> tuple[Heading, ...]:
    """Headings for the definitions of `text`, in order. Levels follow the indentation."""
    found = _python(text) if language.name == "python" else None
    if found is None:
        found = [] if language.pattern is None else _by_pattern(text, language.pattern)
    headings: list[Heading] = []
    open_indents: list[int] = []
    floor = 0
    for start, indent, title in found:
        while open_indents and open_indents[-1] >= indent:
            open_indents.pop()
        open_indents.append(indent)
        begin = _with_comments(text, start, floor, language.comment)
        headings.append(Heading(len(open_indents), title, begin))
        floor = start + 1
    return tuple(headings)


def _by_pattern(text: str, pattern: re.Pattern[str]) -> list[tuple[int, int, str]]:
    found = []
    for match in pattern.finditer(text):
        groups = match.groupdict()
        name = groups.get("name") or groups.get("function") or ""
        kind = groups.get("kind") or ""
        if kind == "impl":  # Rust: the whole target tells more than its first word
            whole = _IMPL.match(text, match.start("kind"))
            name = whole[1].strip() if whole else name
        indent = len(groups["indent"].expandtabs(4))
        found.append((match.start(), indent, f"{kind} {name}".strip()))
    return found


def _python(text: str) -> list[tuple[int, int, str]] | None:
    """Exact positions from the syntax tree; None where the file does not parse (then the pattern is used)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    found = []
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            kind = "class" if isinstance(node, ast.ClassDef) else "def"
            found.append((starts[node.lineno - 1], node.col_offset, f"{kind} {node.name}"))
        if isinstance(node, ast.stmt | ast.Module | ast.ExceptHandler | ast.match_case):
            todo += ast.iter_child_nodes(node)
    return sorted(found)


def _with_comments(text: str, start: int, floor: int, marks: tuple[str, ...]) -> int:
    """Start of the comment and decorator lines directly above `start`, not above `floor`."""
    while start > floor:
        above = text.rfind("\n", 0, start - 1) + 1
        line = text[above : start - 1].strip()
        if above < floor or not line.startswith(marks) or line.startswith(("#!", "#include", "#endif", "#define")):
            break
        start = above
    return start
