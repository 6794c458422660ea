"""Makes the binary sample documents: a PDF and a DOCX, byte for byte the same on every run.

    python tools/make_samples.py [FOLDER]      default: samples/
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

SAMPLES = Path(__file__).resolve().parent.parent / "samples"

# One list for each page; a line that starts with "# " or "## " is a heading.
MANUAL = [
    [
        "# Screw compressor K-75: operating manual",
        "",
        "## 1 Technical data",
        "",
        "Rated power 75 kW, free air delivery 12.4 cubic metres per minute at 7.5 bar.",
        "Oil charge 28 litres of synthetic compressor oil, ISO VG 46.",
        "Sound pressure level 72 dB(A) at one metre with the enclosure closed.",
        "Permissible ambient temperature from 3 to 40 degrees Celsius.",
        "",
        "## 2 Safety",
        "",
        "The safety valve of the compressor opens at 9.5 bar. It must not be adjusted, and",
        "its seal must not be broken. It is tested once a year by lifting it by hand while",
        "the receiver is under pressure.",
        "",
        "Before any work inside the enclosure, switch the main isolator off, lock it, and wait",
        "five minutes until the frequency converter has discharged.",
    ],
    [
        "## 3 Maintenance",
        "",
        "Replace the intake filter every 2,000 operating hours, or sooner when alarm A130 is shown.",
        "Change the oil and the oil filter every 6,000 operating hours, at least every two years.",
        "Replace the oil separator cartridge when its pressure drop exceeds 0.8 bar.",
        "Re-grease the motor bearings every 4,000 hours with 25 grams of lithium grease each.",
        "",
        "## 4 Faults",
        "",
        "The compressor does not start: check the emergency stop, the phase sequence and the oil",
        "temperature. Below 3 degrees Celsius the start is blocked until the heater has warmed",
        "the oil.",
        "",
        "Oil in the compressed air: the separator cartridge is damaged, or the return line is",
        "blocked. Clean the orifice of the return line first; it is 1.2 millimetres wide.",
    ],
    [
        "## 5 Disposal",
        "",
        "Drain the oil while it is warm. Condensate contains oil and must not reach the sewer",
        "without a separator. The refrigerant of the dryer is R513A; only certified staff may",
        "open its circuit.",
        "",
        "## 6 Contact",
        "",
        "Spare parts are available for ten years after delivery. Quote the serial number on the",
        "type plate, left of the control panel.",
    ],
]

# (style, text); style "" is body text.
BRIEFING = [
    ("Heading1", "Unterweisung Arbeitssicherheit"),
    ("", "Die Unterweisung wird jährlich wiederholt und von allen Teilnehmenden unterschrieben."),
    ("Heading2", "Alleinarbeit"),
    (
        "",
        "Schächte dürfen nicht allein betreten werden. Eine zweite Person bleibt außerhalb des Schachts und hält "
        "Sichtkontakt. Vor dem Einstieg wird die Luft mindestens zehn Minuten lang mit dem Gaswarngerät gemessen.",
    ),
    ("Heading2", "Freischalten"),
    (
        "",
        "Vor Arbeiten an elektrischen Anlagen gelten die fünf Sicherheitsregeln: freischalten, gegen Wiedereinschalten "
        "sichern, Spannungsfreiheit feststellen, erden und kurzschließen, benachbarte Teile abdecken.",
    ),
    ("Heading2", "Persönliche Schutzausrüstung"),
    (
        "",
        "Im Maschinenhaus ist Gehörschutz ab 80 dB(A) anzubieten und ab 85 dB(A) zu tragen. Sicherheitsschuhe der "
        "Klasse S3 sind auf dem gesamten Gelände Pflicht.",
    ),
    ("Heading2", "Brandschutz"),
    (
        "",
        "Feuerlöscher werden alle zwei Jahre geprüft. Der Sammelplatz liegt am Tor 1. Brandschutztüren dürfen nicht "
        "verkeilt werden.",
    ),
    ("Heading2", "Meldewege"),
    (
        "",
        "Jeder Unfall wird noch am selben Tag der Schichtleitung gemeldet, auch wenn niemand verletzt wurde. Die "
        "Durchwahl der Leitwarte ist 2300.",
    ),
]


def pdf(pages: list[list[str]], title: str) -> bytes:
    """A PDF 1.4 of text in Helvetica, headings larger and bold."""
    count = len(pages)
    kids = " ".join(f"{5 + 2 * i} 0 R" for i in range(count))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R /Lang (en) >>",
        f"<< /Type /Pages /Count {count} /Kids [{kids}] >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
    ]
    for number, lines in enumerate(pages):
        content = _page(lines)
        objects.append(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
            f"/Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> /Contents {6 + 2 * number} 0 R >>"
        )
        objects.append(f"<< /Length {len(content.encode('cp1252'))} >>\nstream\n{content}\nendstream")
    objects.append(f"<< /Title ({_literal(title)}) >>")
    out = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    out += "".join(f"{offset:010} 00000 n \n" for offset in offsets).encode()
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\n".encode()
    out += f"startxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


def _page(lines: list[str]) -> str:
    parts = ["BT", "72 780 Td"]
    for line in lines:
        font, size, text = "F1", 11, line
        if line.startswith("## "):
            font, size, text = "F2", 14, line[3:]
        elif line.startswith("# "):
            font, size, text = "F2", 20, line[2:]
        parts.append(f"/{font} {size} Tf ({_literal(text)}) Tj 0 -{round(size * 1.5)} Td")
    return "\n".join([*parts, "ET"])


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def docx(paragraphs: list[tuple[str, str]], title: str) -> dict[str, str]:
    """The parts of a Word document, by name."""
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    packages = "http://schemas.openxmlformats.org/package/2006"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    ooxml = "application/vnd.openxmlformats-officedocument.wordprocessingml"
    head = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
    body = "".join(
        f'<w:p>{f"<w:pPr><w:pStyle w:val={chr(34)}{style}{chr(34)}/></w:pPr>" if style else ""}'
        f'<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'
        for style, text in paragraphs
    )
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/></w:style>' for n in (1, 2)
    )
    return {
        "[Content_Types].xml": f'{head}<Types xmlns="{packages}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{ooxml}.document.main+xml"/>'
        f'<Override PartName="/word/styles.xml" ContentType="{ooxml}.styles+xml"/>'
        '<Override PartName="/docProps/core.xml" '
        'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/></Types>',
        "_rels/.rels": f'{head}<Relationships xmlns="{packages}/relationships">'
        f'<Relationship Id="r1" Type="{office}/officeDocument" Target="word/document.xml"/>'
        f'<Relationship Id="r2" Type="{packages}/relationships/metadata/core-properties" Target="docProps/core.xml"/>'
        "</Relationships>",
        "docProps/core.xml": f'{head}<cp:coreProperties xmlns:cp="{packages}/metadata/core-properties" '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{escape(title)}</dc:title>'
        "<dc:language>de</dc:language></cp:coreProperties>",
        "word/_rels/document.xml.rels": f'{head}<Relationships xmlns="{packages}/relationships">'
        f'<Relationship Id="r1" Type="{office}/styles" Target="styles.xml"/></Relationships>',
        "word/document.xml": f'{head}<w:document xmlns:w="{word}"><w:body>{body}</w:body></w:document>',
        "word/styles.xml": f'{head}<w:styles xmlns:w="{word}">{styles}</w:styles>',
    }


def make(folder: Path) -> list[Path]:
    """Writes both files into `folder` and returns their paths."""
    manual = folder / "compressor-manual.pdf"
    manual.write_bytes(pdf(MANUAL, "Screw compressor K-75: operating manual"))
    briefing = folder / "unterweisung-arbeitssicherheit.docx"
    with zipfile.ZipFile(briefing, "w", zipfile.ZIP_STORED) as archive:
        for name, text in docx(BRIEFING, "Unterweisung Arbeitssicherheit").items():
            archive.writestr(zipfile.ZipInfo(name, date_time=(2026, 1, 1, 0, 0, 0)), text)
    return [manual, briefing]


if __name__ == "__main__":
    for made in make(Path(sys.argv[1]) if len(sys.argv) > 1 else SAMPLES):
        print(made)
