"""Questions about what was said or decided before, rather than about documents: told by their words."""

from __future__ import annotations

import re
from typing import Final

_SAID: Final = "deci|agree|sa(y|id)|discuss|talk|settl|conclu|cho(o|se)|plan|ask|learn|tell|told|mention"
_ENGLISH: Final = rf"""
      \b(did|have|had|were|was) \s+ (we|i|you) \b .* \b({_SAID})
    | \bdo \s you \s (remember|recall) \b | \bremind \s me \b | \blast \s time \s we \b
    | \b(earlier|previous|last) \s (session|chat|conversation)s? \b
"""
_GESAGT: Final = (
    "beschlossen|entschieden|besprochen|gesagt|vereinbart|geredet|gesprochen|festgelegt|ausgemacht|gefragt|geeinigt|"
    "gelernt|erwähnt"
)
_GERMAN: Final = rf"""
      \b(haben|hatten|hatte|habe|hast) \s+ (wir|ich|du) \b .* ({_GESAGT})
    | \b(wir|ich) \b .* \b({_GESAGT}) \s (haben|hatten|habe) \b
    | \berinner(st|e) \s (du|dich|mich|wir) \b | \b(letztes|voriges) \s mal \b
    | \b(letzte|vorige|frühere)[nrms]? \s (sitzung|chat|gespräch|unterhaltung)(s|en)? \b
"""
_EARLIER: Final = re.compile(f"{_ENGLISH}|{_GERMAN}", re.IGNORECASE | re.VERBOSE | re.DOTALL)


def about_earlier(question: str) -> bool:
    """Whether it asks for what is remembered."""
    return _EARLIER.search(question) is not None
