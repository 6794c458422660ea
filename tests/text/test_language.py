from __future__ import annotations

import subprocess
import sys

import pytest

from ragstone.text.language import detect, detect_query

GERMAN = "Der Regler vergleicht den gemessenen Wert mit dem Sollwert und stellt nach, bis beide gleich sind."
ENGLISH = "The controller compares the measured value with the set point and acts until both are the same."


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (GERMAN, "de"),
        (ENGLISH, "en"),
        ("Le régulateur compare la valeur mesurée avec la consigne jusqu'à ce qu'elles soient égales.", "fr"),
        ("Регулятор сравнивает измеренное значение с заданным и изменяет выходной сигнал.", "ru"),
        ("El controlador compara el valor medido con la consigna y cambia la salida hasta que son iguales.", "es"),
        (GERMAN * 5000, "de"),
        ("", ""),
        ("Abc 12", ""),
        ("1; 2; 3; 4,5\n" * 100, ""),
        ("x = 1\ny = f(x)\n", ""),
    ],
)
def test_detect(text: str, language: str) -> None:
    assert detect(text) == language


@pytest.mark.parametrize(
    ("query", "language"),
    [
        ("Wie wird der Sollwert eingestellt?", "de"),
        ("How is the set point changed?", "en"),
        ("Öffnungszeiten", "de"),
        ("Timer", ""),
        ("", ""),
    ],
)
def test_detect_query(query: str, language: str) -> None:
    assert detect_query(query, ["de", "en"]) == language


def test_detect_query_among_none_or_one() -> None:
    assert detect_query("Timer", []) == ""
    assert detect_query("Timer", ["en"]) == "en"


def test_nothing_heavy_is_loaded_for_questions_and_plain_texts() -> None:
    code = (
        "import sys; from ragstone.text.language import detect, detect_query\n"
        f"assert detect({GERMAN!r}) == 'de'; detect_query('Wie geht das?', ['de', 'en'])\n"
        "assert 'py3langid' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
