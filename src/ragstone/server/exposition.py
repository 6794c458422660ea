"""Figures as text that Prometheus reads (text exposition format, version 0.0.4)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from ..observe.instruments import BOUNDS, INSTRUMENTS
from ..observe.page import Key
from .gauges import FIGURES, Sample

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def exposition(totals: Mapping[Key, tuple[float, ...]], samples: Iterable[Sample]) -> str:
    """`totals` are of instruments, `samples` of FIGURES."""
    return "".join(f"{line}\n" for line in (*_instruments(totals), *_samples(samples)))


def _instruments(totals: Mapping[Key, tuple[float, ...]]) -> Iterator[str]:
    by_name: dict[str, list[Key]] = defaultdict(list)
    for key in totals:
        by_name[key[0]].append(key)
    for name, instrument in INSTRUMENTS.items():
        if name not in by_name:
            continue
        yield from _head(name, instrument.kind, instrument.doc)
        for key in sorted(by_name[name]):
            labels = dict(zip(instrument.labels, key[1:], strict=True))
            values = totals[key]
            if instrument.kind != "histogram":
                yield f"{name}{_labels(labels)} {_number(values[0])}"
                continue
            count = 0.0
            for bound, inside in zip(BOUNDS, values, strict=False):
                count += inside
                yield f"{name}_bucket{_labels({**labels, 'le': _number(bound)})} {_number(count)}"
            count += values[len(BOUNDS)]
            yield f"{name}_bucket{_labels({**labels, 'le': '+Inf'})} {_number(count)}"
            yield f"{name}_sum{_labels(labels)} {_number(values[-1])}"
            yield f"{name}_count{_labels(labels)} {_number(count)}"


def _samples(samples: Iterable[Sample]) -> Iterator[str]:
    by_name: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_name[sample.name].append(sample)
    for name, found in by_name.items():
        yield from _head(name, *FIGURES[name])
        for sample in found:
            yield f"{name}{_labels(sample.labels)} {_number(sample.value)}"


def _head(name: str, kind: str, doc: str) -> Iterator[str]:
    yield f"# HELP {name} {doc}"
    yield f"# TYPE {name} {kind}"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
