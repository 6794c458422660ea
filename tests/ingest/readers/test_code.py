from __future__ import annotations

import pytest

from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import code
from ragstone.types import Blob, ParsedDocument


def read(name: str, source: str) -> ParsedDocument:
    return code.read(Blob(f"/x/{name}", source.encode()), ReadLimits())


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("a.py", "def f():\n    'def no'\n    class In: pass\n\nclass C(B):\n    async def m(self): ...\n",
         [(1, "def f"), (2, "class In"), (1, "class C"), (2, "def m")]),
        ("a.py", "def broken(:\n    pass\nclass K:\n    def m(self):\n", [(1, "def broken"), (1, "class K"), (2, "def m")]),
        ("a.js", "export default class A {\n  run(x) {\n    if (x) {\n    }\n  }\n}\nfunction g() {\n}\nconst h = (x) => {\n}\n",
         [(1, "class A"), (2, "run"), (1, "function g"), (1, "h")]),
        ("a.ts", "export interface A { x: number }\nclass Q {\n  private m(a: string): void {\n  }\n}\n",
         [(1, "interface A"), (1, "class Q"), (2, "m")]),
        ("A.java", "public class A {\n  public static List<String> names(int a) {\n    return foo(a);\n  }\n}\n",
         [(1, "class A"), (2, "names")]),
        ("a.c", "struct point {\n int x;\n};\nstatic int add(int a, int b)\n{\n  return foo(a);\n}\nint proto(int a);\n",
         [(1, "struct point"), (1, "add")]),
        ("a.cpp", "namespace n {\nclass Foo : Bar {\n};\nvoid Foo::go(const std::string& s) {\n}\n}\n",
         [(1, "namespace n"), (1, "class Foo"), (1, "Foo::go")]),
        ("a.go", "func F(a int) error {\n}\nfunc (r *R) M() {\n}\ntype R struct {\n}\n", [(1, "func F"), (1, "func M"), (1, "R")]),
        ("a.rs", "pub struct S<T> { }\nimpl<T> Trait for S<T> {\n    pub fn new() -> Self {\n",
         [(1, "struct S"), (1, "impl Trait for S<T>"), (2, "fn new")]),
        ("a.sh", "foo() {\n}\nfunction bar {\n}\n", [(1, "foo"), (1, "function bar")]),
        ("a.sql", "CREATE TABLE IF NOT EXISTS users (id int);\n", [(1, "TABLE users")]),
        ("a.st", "FUNCTION_BLOCK FB_Timer1\nEND_FUNCTION_BLOCK\n", [(1, "FUNCTION_BLOCK FB_Timer1")]),
        ("a.rb", "module M\n  class A < B\n    def self.x\n", [(1, "module M"), (2, "class A"), (3, "def self.x")]),
    ],
)  # fmt: skip
def test_definitions(name: str, source: str, expected: list[tuple[int, str]]) -> None:
    document = read(name, source)
    assert [(h.level, h.title) for h in document.headings] == expected
    assert document.text == source
    assert document.title == name
    assert document.metadata["programming_language"]


def test_a_definition_begins_with_its_comments() -> None:
    source = "import x\n\n# about f\n@deco\ndef f():\n    pass\n\n# far away\n\ndef g(): pass\n"
    document = read("a.py", source)
    assert [source[h.start :].split("\n")[0] for h in document.headings] == ["# about f", "def g(): pass"]
    java = read("A.java", "/**\n * Doc.\n */\n@Deprecated\npublic class A {\n}\n")
    assert java.headings[0].start == 0


def test_language_by_shebang() -> None:
    assert read("tool", "#!/usr/bin/env python3\ndef f(): pass\n").metadata == {"programming_language": "python"}


@pytest.mark.parametrize("name", ["a.py", "a.js", "a.java", "a.c", "a.rs", "a.sql", "a.hs"])
@pytest.mark.parametrize("unit", [" ", "a ", "a(", "public ", "function ", "(", "x=", "if 1:\n"])
def test_patterns_stay_linear(name: str, unit: str) -> None:
    """The timeout of the whole test is the assertion: quadratic patterns need hours for this."""
    assert read(name, unit * 100_000 + "\nclass A {\n}\n").text
