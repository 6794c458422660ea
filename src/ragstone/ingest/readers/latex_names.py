"""What commands and environments of LaTeX stand for."""

from __future__ import annotations

LEVELS = {"part": 1, "chapter": 2, "section": 3, "subsection": 4, "subsubsection": 5, "paragraph": 6,
          "subparagraph": 7, "frametitle": 4}  # fmt: skip
COMBINING = {
    '"': "\u0308", "'": "\u0301", "`": "\u0300", "^": "\u0302", "~": "\u0303", "=": "\u0304", ".": "\u0307",
    "c": "\u0327", "v": "\u030c", "H": "\u030b", "k": "\u0328", "u": "\u0306", "d": "\u0323", "b": "\u0331",
    "r": "\u030a", "t": "\u0361",
}  # fmt: skip
SYMBOLS = {
    "ss": "ß", "o": "ø", "O": "Ø", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "aa": "å", "AA": "Å", "l": "ł",
    "L": "Ł", "i": "ı", "j": "ȷ", "S": "§", "P": "¶", "dag": "†", "ddag": "‡", "copyright": "©", "pounds": "£",
    "ldots": "…", "dots": "…", "textellipsis": "…", "LaTeX": "LaTeX", "TeX": "TeX", "LaTeXe": "LaTeX2e",
    "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textbar": "|", "textless": "<",
    "textgreater": ">", "textendash": "–", "textemdash": "—", "textregistered": "®", "texttrademark": "™",
    "textdegree": "°", "degree": "°", "celsius": "°C", "euro": "€", "texteuro": "€", "EUR": "€", "textmu": "µ",
    "glqq": "„", "grqq": "“", "glq": "‚", "grq": "‘", "flqq": "«", "frqq": "»", "textquotedblleft": "“",
    "textquotedblright": "”", "quotedblbase": "„", "textbullet": "•", "textunderscore": "_", "slash": "/",
    "textquoteright": "’", "textquoteleft": "‘", "textasteriskcentered": "*", "newline": "\n", "linebreak": "\n",
    "quad": " ", "qquad": " ", "space": " ", "par": "\n\n", "today": "", "and": ", ",
    "textonehalf": "½", "backslash": "\\",
}  # fmt: skip
GERMAN = {"a": "ä", "o": "ö", "u": "ü", "A": "Ä", "O": "Ö", "U": "Ü", "s": "ß", "S": "ẞ", "`": "„", "'": "“",
           "=": "-", "~": "-", "-": "", "|": "", "<": "«", ">": "»"}  # fmt: skip
# Commands whose arguments are no text; the number is how many braces follow
DROPPED = {
    "label": 1, "ref": 1, "eqref": 1, "pageref": 1, "autoref": 1, "cref": 1, "Cref": 1, "vref": 1, "nameref": 1,
    "cite": 1, "citep": 1, "citet": 1, "citeauthor": 1, "citeyear": 1, "citealp": 1, "parencite": 1, "textcite": 1,
    "footcite": 1, "autocite": 1, "nocite": 1, "bibliography": 1, "bibliographystyle": 1, "addbibresource": 1,
    "usepackage": 1, "RequirePackage": 1, "documentclass": 1, "PassOptionsToPackage": 2, "usetikzlibrary": 1,
    "input": 1, "include": 1, "includegraphics": 1, "graphicspath": 1, "includepdf": 1, "lstinputlisting": 1,
    "vspace": 1, "hspace": 1, "setlength": 2, "addtolength": 2, "setcounter": 2, "addtocounter": 2, "pagestyle": 1,
    "thispagestyle": 1, "newcommand": 2, "renewcommand": 2, "providecommand": 2, "DeclareMathOperator": 2,
    "newenvironment": 3, "renewenvironment": 3, "newtheorem": 2, "theoremstyle": 1, "definecolor": 3, "color": 1,
    "pagecolor": 1, "rowcolor": 1, "cellcolor": 1, "columncolor": 1, "textcolor": 1, "colorbox": 1, "geometry": 1,
    "hypersetup": 1, "lstset": 1, "sisetup": 1, "captionsetup": 1, "fontsize": 2, "selectlanguage": 1, "rule": 2,
    "multicolumn": 2, "multirow": 2, "cmidrule": 1, "cline": 1, "resizebox": 2, "scalebox": 1, "raisebox": 1,
    "adjustbox": 1, "parbox": 1, "makebox": 0, "index": 1, "glsadd": 1, "hyphenation": 1, "phantom": 1, "vphantom": 1,
    "hphantom": 1, "setstretch": 1, "linespread": 1, "newcolumntype": 2, "renewbibmacro": 2, "titleformat": 5,
    "titlespacing": 4, "addcontentsline": 3, "foreignlanguage": 1, "hypertarget": 1, "hyperlink": 1, "tikzset": 1,
    "pgfplotsset": 1, "newlength": 1, "newcounter": 1, "refstepcounter": 1, "stepcounter": 1, "bibitem": 1,
    "author": 1, "date": 1, "institute": 1, "thanks": 1, "subtitle": 1, "title": 1, "titlerunning": 1,
    "authorrunning": 1, "markboth": 2, "markright": 1, "pdfinfo": 1, "keyword": 0, "textheight": 0, "crefname": 3,
    "email": 0, "affil": 1, "vskip": 0, "hskip": 0, "lstdefinestyle": 2, "lstdefinelanguage": 2, "newif": 0,
    "fancyhead": 1, "fancyfoot": 1, "lhead": 1, "rhead": 1, "chead": 1, "lfoot": 1, "rfoot": 1, "cfoot": 1,
    "setbeamertemplate": 1, "usetheme": 1, "usecolortheme": 1, "newacronym": 0, "let": 0, "special": 1,
    "fontfamily": 1, "fontseries": 1, "fontshape": 1, "newfont": 1, "font": 0, "arraystretch": 0, "href": 1,
}  # fmt: skip
MATH = frozenset(
    (
        *("equation", "align", "gather", "multline", "eqnarray", "displaymath", "math", "flalign", "alignat"),
        *("dmath", "subequations", "split", "IEEEeqnarray"),
    )
)
VERBATIM = frozenset(("verbatim", "lstlisting", "minted", "Verbatim", "alltt", "code", "listing"))
IGNORED = frozenset(("comment", "tikzpicture", "pgfpicture", "axis", "filecontents", "picture", "asy", "forest"))
TABLES = frozenset(("tabular", "tabularx", "longtable", "tabulary", "tabu", "supertabular", "array", "xltabular"))
LISTS = frozenset(("itemize", "enumerate", "description", "compactitem", "compactenum"))
LANGUAGES = {"german": "de", "ngerman": "de", "austrian": "de", "naustrian": "de", "english": "en", "french": "fr",
              "british": "en", "american": "en", "spanish": "es", "italian": "it", "dutch": "nl"}  # fmt: skip
