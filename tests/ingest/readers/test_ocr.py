from __future__ import annotations

from pathlib import Path

import pypdfium2
import pytest
from pdf_builder import PdfPage, lines, pdf

import ragstone
from ragstone.errors import NoTextLayer
from ragstone.ingest.limits import ReadLimits
from ragstone.ingest.readers import ocr
from ragstone.ingest.readers import pdf as pdf_reader
from ragstone.types import Blob

LINES = ["Größenänderung: Überdruckventil schließt", "bei zwölf Grad, geprüft in Köln."]


def test_without_the_extra_or_the_setting_the_error_says_what_to_do() -> None:
    with pytest.raises(NoTextLayer) as caught:
        ocr.read(Blob("/a/x.png", b"\x89PNG"), ReadLimits())
    assert "ragstone[ocr]" in caught.value.hint


@pytest.mark.slow
@pytest.mark.parametrize("turned", [0, 1, 2, 3])
def test_umlauts_are_read_whichever_way_the_page_lies(turned: int) -> None:
    pytest.importorskip("rapidocr")
    import io

    import numpy as np
    from PIL import Image

    page = PdfPage(lines(30, 150, LINES, 16, 24), width=400, height=200)
    with pypdfium2.PdfDocument(pdf([page])) as document:
        picture = document[0].render(scale=3).to_numpy()[..., :3]
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(picture, turned))).save(out, "PDF")
    limits = ReadLimits(ocr=True, cpu_seconds=600)
    text = pdf_reader.read(Blob("/a/x.pdf", out.getvalue()), limits).text
    assert text.split() == " ".join(LINES).split()


@pytest.mark.slow
def test_pictures_are_read_in_a_confined_worker(tmp_path: Path) -> None:
    """The libraries of recognition set variables of the environment, which a worker must let them."""
    pytest.importorskip("rapidocr")
    page = PdfPage(lines(30, 150, LINES, 16, 24), width=400, height=200)
    with pypdfium2.PdfDocument(pdf([page])) as document:
        document[0].render(scale=3).to_pil().convert("RGB").save(tmp_path / "x.png")
    quiet = {"ingest.ocr": True, "embedding.background": False}
    with ragstone.open(tmp_path / "data", overrides=quiet) as kb:
        report = kb.add([tmp_path / "x.png"])
        assert [file.state for file in report.files] == ["added"], report.files
        assert kb.text("x.png").split() == " ".join(LINES).split()
