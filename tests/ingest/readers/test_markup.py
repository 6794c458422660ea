"""Markdown, reStructuredText, HTML, LaTeX and manual pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ragstone.errors import LimitExceeded, ReadError
from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import html, latex, markdown, restructuredtext, roff
from ragstone.types import Blob, ParsedDocument

LIMITS = ReadLimits()


def outline(document: ParsedDocument) -> list[tuple[int, str]]:
    for heading in document.headings:
        assert heading.title.split()[0][:3] in document.text[heading.start : heading.start + 200]
    assert [h.start for h in document.headings] == sorted(h.start for h in document.headings)
    return [(h.level, h.title) for h in document.headings]


# Markdown


def md(source: str) -> ParsedDocument:
    return markdown.read(Blob("a.md", source.encode()), LIMITS)


def test_markdown_headings() -> None:
    document = md(
        "# Eins #\n\ntext\n\n```sh\n# kein Titel\n```\n\nZwei **fett**\n---\n\n### [Drei](http://x) `code` {#anker}\n"
        "\n<!-- # nein\n-->\n~~~~\n# nein\n~~~\n~~~~\n- Punkt\n---\n|a|\n|---|\n####### sieben\n#nein\n"
    )
    assert outline(document) == [(1, "Eins"), (2, "Zwei fett"), (3, "Drei code")]
    assert document.title == "Eins"
    assert "# kein Titel" in document.text


def test_markdown_front_matter_keeps_lines() -> None:
    source = '---\ntitle: "Mein Titel"\nlang: de-DE\ntags:\n  - a\n  - b\nweight: 3\ndraft: true\n---\n# Anders\nText\n'
    document = md(source)
    assert document.title == "Mein Titel"
    assert document.language == "de"
    assert document.metadata == {"lang": "de-DE", "tags": "a, b", "weight": 3, "draft": True}
    assert document.text.count("\n") == source.count("\n")
    assert document.text.strip() == "# Anders\nText"
    assert document.headings[0].start == document.text.index("# Anders")
    assert md("+++\ntitle = 'T'\n+++\nx").title == "T"
    assert md("---\n\nText\n\n---\n\nmehr").text == "---\n\nText\n\n---\n\nmehr"


# reStructuredText


def test_rst_levels_follow_first_use() -> None:
    source = (
        "=====\nTitel\n=====\n:author: Ada\n\nEins\n====\n\ntext\n\nZwei ``x``\n----------\n\n"
        "::\n\n  nicht\n  -----\n\nDrei\n====\n\n=====  =====\nA      B\n=====  =====\n1      2\n=====  =====\n"
    )
    document = restructuredtext.read(Blob("a.rst", source.encode()), LIMITS)
    assert outline(document) == [(1, "Titel"), (2, "Eins"), (3, "Zwei x"), (2, "Drei")]
    assert document.text == source
    assert document.metadata == {"author": "Ada"}


# HTML


def page(source: str | bytes, limits: ReadLimits = LIMITS) -> ParsedDocument:
    return html.read(Blob("a.html", source if isinstance(source, bytes) else source.encode()), limits)


def test_html_is_what_one_sees() -> None:
    document = page(
        "<!doctype html><html lang='de-AT'><head><title>Titel &amp; mehr</title><meta name=author content=Ada>"
        "<style>p{}</style><script>alert(1)</script></head><body><h1>Über <b>uns</b></h1><p>Ein<br>Zwei</p>"
        "<p hidden>weg</p><p style='color:red; display: none'>weg</p><noscript>weg</noscript><template>weg</template>"
        "<h2>Liste</h2><ul><li>a<li>b<ul><li>c</ul></ul><ol><li>x<li>y</ol><pre>  def f():\n    pass</pre>"
        "<table><tr><th>Name<th>Wert<tr><td>Länge<td><p>5</p> m</table><img src=x alt='Ein Bild'>"
        "<a>Start</a><a>Hilfe</a></body></html>"
    )
    assert document.text == (
        "Über uns\n\nEin\nZwei\n\nListe\n\n- a\n- b\n  - c\n\n1. x\n2. y\n\n  def f():\n    pass\n\n"
        "Name | Wert\nLänge | 5 m\n\nEin Bild Start Hilfe"
    )
    assert outline(document) == [(1, "Über uns"), (2, "Liste")]
    assert (document.title, document.language, document.metadata) == ("Titel & mehr", "de", {"author": "Ada"})


@pytest.mark.parametrize(
    "data",
    [
        "<meta charset=iso-8859-1><p>Größe – 5 €".encode("cp1252"),
        "<meta charset=iso-8859-1><p>Größe – 5 €".encode(),
        "<meta http-equiv=Content-Type content='text/html; charset=utf-8'><p>Größe – 5 €".encode(),
        "<p>Größe – 5 €".encode("cp1252"),
        "<meta charset=utf-8><p>Größe – 5 €".encode("utf-16"),
        "<meta charset=klingon><p>Größe – 5 €".encode(),
    ],
)
def test_html_encodings(data: bytes) -> None:
    assert page(data).text == "Größe – 5 €"


def test_html_bars_of_links_are_no_text() -> None:
    bar = "<div class='NavHeader'><a href=a>Zurück</a> <a href=b>Weiter</a></div>"
    text = "Der Filter wird gewechselt."
    menu = "<ul role=navigation><li>Oben</ul>"
    assert page(f"<body><nav>Start</nav>{bar}<p>{text}</p>{menu}</body>").text == text
    assert page(f"<body>{bar}</body>").text == "Zurück Weiter"  # there is nothing else


def test_html_layout_tables_keep_paragraphs() -> None:
    document = page("<table><tr><td>" + "Ein langer Satz. " * 40 + "<br><br>Neuer Absatz</td></tr></table>")
    assert "\n\nNeuer Absatz" in document.text


@pytest.mark.parametrize("unit", ["<div>", "<b>", "<table><tr><td>", "<ul><li>", "<blockquote>"])
def test_html_nesting_is_bounded(unit: str) -> None:
    assert page(unit * 500 + "tief").text.endswith("tief")
    with pytest.raises(LimitExceeded):
        page(unit * 100_000 + "tief")


# LaTeX


def tex(source: str) -> ParsedDocument:
    return latex.read(Blob("a.tex", source.encode()), LIMITS)


def test_latex() -> None:
    document = tex(
        r"""\documentclass[12pt]{article} \usepackage[english,ngerman]{babel}
\newcommand{\firma}{M\"uller~AG}
\newcommand{\marke}{Ragwerk\xspace}
\title{Ein \emph{Titel}\thanks{nein}} \author{Ada \and Bob}
\begin{document}\maketitle % Kommentar
\section{Gr\"o{\ss}e und "Uberblick}\label{sec:x}
Stra\ss e, na\"{\i}ve, \'Ecole, fa\c{c}ade, Ko\v{s}ice, 50\,\%, siehe \ref{sec:x}. "`Zitat"' -- ``quote''.
\marke{} ist \textbf{fett \textit{und kursiv}}\footnote{Eine Note.} und $E = mc^2$ gilt \cite{a,b}.
\begin{itemize}
\item Eins
\item[Zwei] Text
\end{itemize}
\subsection*{Tabelle}
\begin{table}[ht]\centering\caption{Werte}
\begin{tabular}{l|r} \hline Name & Wert \\ \hline L\"ange & 5 \\ \multicolumn{2}{c}{Summe} \\ \end{tabular}
\end{table}
\begin{equation}\label{eq:1} a^2 + b^2 = c^2 \end{equation}
\begin{verbatim}
\roh % bleibt
\end{verbatim}
\begin{tikzpicture}\draw (0,0);\end{tikzpicture}
\url{https://example.org/a_b} \href{https://example.org}{Verweis} 100 \EUR
\end{document} danach"""
    )
    assert document.title == "Ein Titel"
    assert document.language == "de"
    assert outline(document) == [(1, "Größe und Überblick"), (2, "Tabelle")]
    for words in (
        *(
            "Straße, naïve, École, façade, Košice, 50 %",
            "„Zitat“ – “quote”",
            "Ragwerk ist fett und kursiv (Eine Note.)",
        ),
        *("und $E = mc^2$ gilt.", "- Eins\n- Zwei: Text", "Name | Wert\nLänge | 5\nSumme", "a^2 + b^2 = c^2"),
        *("\\roh", "https://example.org/a_b", "Verweis (https://example.org)", "100 €", "Werte"),
    ):
        assert words in document.text
    for words in ("Kommentar", "documentclass", "label", "draw", "danach", "\\textbf", "nein", "sec:x", "ngerman"):
        assert words not in document.text


def test_latex_without_preamble() -> None:
    document = tex("\\chapter{A}\n\\section{B}\nText \\unknown[x]{bleibt} mehr.\n\n50\\% \\{x\\}\n")
    assert outline(document) == [(1, "A"), (2, "B")]
    assert "Text bleibt mehr.\n\n50% {x}" in document.text


def test_latex_of_definitions_alone_is_its_source() -> None:
    assert "\\newcommand{\\vec}" in tex("% Makros\n\\newcommand{\\vec}[1]{\\mathbf{#1}}\n").text


@pytest.mark.parametrize("unit", ["{", "\\label{", "$", "\\(", "\\begin{itemize}", "\\section{", "\\footnote{a", "&"])
def test_latex_unbalanced(unit: str) -> None:
    assert isinstance(tex("Anfang " + unit * 3_000 + " Ende"), ParsedDocument)


# Manual pages


def test_man() -> None:
    source = r""".\" Kommentar
.TH TEST 1 2024 "Paket" "Handbuch"
.SH BEZEICHNUNG
test \- pr\[:u]ft \fIWerte\fP
.SH \(:UBERSICHT
.B test
.RI [ OPTION ]\&.\|.\|.
.SH OPTIONEN
.TP
\fB\-a\fR, \fB\-\-all\fR
alles;
zweite Zeile
.IP \(bu 2
Punkt
.PP
Absatz \(lqZitat\(rq \(em \(co
.nf
  code  bleibt
.fi
.TS
tab(;);
l l.
Name;Wert
T{
L\[:a]nge
T};5
.TE
.SS Unter
.if t nicht
.ie n ja
.el nein
.de XX
nicht
..
"""
    document = roff.read(Blob("/usr/share/man/de/man1/test.1", source.encode()), LIMITS)
    assert document.title == "test(1): prüft Werte"
    assert document.language == "de"
    assert outline(document) == [(1, "BEZEICHNUNG"), (1, "ÜBERSICHT"), (1, "OPTIONEN"), (2, "Unter")]
    assert document.text == (
        "BEZEICHNUNG\n\ntest - prüft Werte\n\nÜBERSICHT\n\ntest [OPTION]...\n\nOPTIONEN\n\n"
        "-a, --all\n    alles; zweite Zeile\n\n• Punkt\n\nAbsatz “Zitat” — ©\n\n  code  bleibt\n\n"
        "Name | Wert\nLänge | 5\n\nUnter\n\nja"
    )


def test_mdoc() -> None:
    source = (
        ".Dd January 1, 2024\n.Dt LS 1\n.Os\n.Sh NAME\n.Nm ls\n.Nd list files\n.Sh SYNOPSIS\n.Nm\n.Op Fl al\n"
        ".Op Ar file ...\n.Sh DESCRIPTION\nSee\n.Xr cat 1 ,\nand\n.Dq quoted words .\n.Bl -tag\n.It Fl a\nall\n.El\n"
    )
    document = roff.read(Blob("ls.1", source.encode()), LIMITS)
    assert outline(document) == [(1, "NAME"), (1, "SYNOPSIS"), (1, "DESCRIPTION")]
    for words in ("[-al]", "[file ...]", "list files", "-a all", "“quoted words"):
        assert words in document.text


MARKUP = st.text(alphabet="#*_`<>[]()-=~\\{}$%&|:.'\"!/ \n\tabcÄ0", max_size=300)


@pytest.mark.parametrize("module", [markdown, restructuredtext, html, latex, roff])
def test_any_markup_gives_text_or_a_typed_error(module: object) -> None:
    @given(MARKUP)
    def check(source: str) -> None:
        try:
            document = module.read(Blob("a", source.encode()), LIMITS)  # type: ignore[attr-defined]
        except ReadError:
            return
        assert all(0 <= h.start <= len(document.text) and h.title for h in document.headings)
        starts = [h.start for h in document.headings]
        assert starts == sorted(starts)

    check()
