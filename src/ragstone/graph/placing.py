"""Places on a plane for the entities of a graph that is looked at as a whole: communities first, then their members.

Lengths are in units of which an entity's disc is some ten wide. The same edges give the same places. Nothing here is
quadratic in more than `LEAF` entities or `CROWD` groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .communities import partition
from .view import Numbers, Weights

Reals = NDArray[np.float64]
LEAF: Final = 300
"""Entities that are placed one by one; more are parted into groups."""
CROWD: Final = 240
"""Groups that are placed by what joins them; smaller ones lie around."""
ROOM: Final = 22.0
"""An entity's share of the plane is a disc of this radius."""
GAP: Final = 1.2
"""How far apart groups lie, in sums of their radii."""
TURNS: Final = 60
"""In which springs come to rest."""
APART: Final = 400
"""Turns at most until no group overlaps another."""
SPRING: Final = 2.0
"""Pull on an entity of mean ties, at the distance of one room, where repulsion is 1."""
GRAVITY: Final = 0.05
GOLDEN: Final = 2.399963229728653
"""The golden angle: no two points at its multiples lie on one line (Vogel, 1979)."""


@dataclass(frozen=True, slots=True)
class Circle:
    """A community: the disc it lies in, and its members, the most central first. Central is what is strongly joined
    with others of it, and not with everything."""

    x: float
    y: float
    radius: float
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """`places` float64[n, 2]; `circles`, by falling size, hold every entity once."""

    places: Reals
    circles: tuple[Circle, ...]


def planned(count: int, heads: Numbers, tails: Numbers, weights: Weights) -> Plan:
    """For `count` entities that edges join."""
    edges = _Edges(heads.astype(np.int64), tails.astype(np.int64), _damped(count, heads, tails, weights))
    if not count:
        return Plan(np.zeros((0, 2)), ())
    found = _laid(count, edges)
    central = _central(count, edges, weights, found.group)
    circles = []
    for number, members in enumerate(_members(found.group)):
        own = members[np.argsort(-central[members], kind="stable")]
        x, y = found.centres[number].tolist()
        circles.append(Circle(x, y, float(found.radii[number]), tuple(own.tolist())))
    return Plan(found.places, tuple(circles))


class _Edges(NamedTuple):
    heads: NDArray[np.int64]
    tails: NDArray[np.int64]
    weights: Reals

    def among(self, nodes: NDArray[np.int64], count: int) -> _Edges:
        """Those between `nodes`, which are numbered by their places there."""
        place = np.full(count, -1, dtype=np.int64)
        place[nodes] = np.arange(len(nodes))
        kept = np.flatnonzero((place[self.heads] >= 0) & (place[self.tails] >= 0))
        return _Edges(place[self.heads[kept]], place[self.tails[kept]], self.weights[kept])


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Around the origin. `group` of each entity, with the `centres` and `radii` of groups."""

    places: Reals
    group: NDArray[np.int64]
    centres: Reals
    radii: Reals


def _damped(count: int, heads: Numbers, tails: Numbers, weights: Weights) -> Reals:
    """By what both ends have in all, w / √(all of head · all of tail): what is joined with everything says little."""
    w = np.maximum(weights.astype(np.float64), 1e-9)
    total = np.bincount(heads, w, count) + np.bincount(tails, w, count)
    return np.asarray(w / np.sqrt(total[heads] * total[tails]), dtype=np.float64)


def _central(count: int, edges: _Edges, weights: Weights, group: NDArray[np.int64]) -> Reals:
    """Strength within the group, times the group's share of all that the entity is joined with."""
    whole = np.bincount(edges.heads, edges.weights, count) + np.bincount(edges.tails, edges.weights, count)
    same = group[edges.heads] == group[edges.tails]
    ends = np.concatenate((edges.heads[same], edges.tails[same]))
    share = np.bincount(ends, np.tile(edges.weights[same], 2), count) / np.maximum(whole, 1e-12)
    return np.asarray(share * np.bincount(ends, np.tile(weights[same], 2), count), dtype=np.float64)


def _members(group: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])


def _laid(count: int, edges: _Edges) -> _Layout:
    if count <= LEAF:
        places = _disc(count, edges)
        return _Layout(places, np.zeros(count, np.int64), np.zeros((1, 2)), np.array([_reach(places)]))
    weights = edges.weights.astype(np.float32)
    group = partition(count, edges.heads.astype(np.int32), edges.tails.astype(np.int32), weights).astype(np.int64)
    if group.max() == 0:
        group = np.arange(count) // LEAF  # nothing parts them: any part is as good
    parts, places, radii = _members(group), np.zeros((count, 2)), []
    for own in parts:
        inner = _laid(len(own), edges.among(own, count)).places
        places[own] = inner
        radii.append(_reach(inner))
    apart = group[edges.heads] != group[edges.tails]
    between = _Edges(group[edges.heads[apart]], group[edges.tails[apart]], edges.weights[apart])
    centres = _packed(np.array(radii), between)
    _turned(places, edges, group, centres, apart)
    return _Layout(places + centres[group], group, centres, np.array(radii))


def _reach(places: Reals) -> float:
    return float(np.sqrt((places * places).sum(axis=1)).max()) + ROOM


def _spiral(radii: Reals) -> Reals:
    """Discs from the middle outwards, each as far out as those before it take room."""
    angle = GOLDEN * np.arange(len(radii))
    return _spread(np.arange(1, len(radii) + 1)[:, None] * np.stack((np.cos(angle), np.sin(angle)), axis=1), radii)


def _ties(count: int, edges: _Edges) -> Reals:
    """float64[count, count], of which a row has a sum of SPRING in the mean."""
    tie = np.zeros((count, count))
    np.add.at(tie, (edges.heads, edges.tails), edges.weights)
    tie += tie.T
    tie *= SPRING / max(float(tie.sum(axis=1).mean()), 1e-12)
    return tie


def _sprung(places: Reals, tie: Reals, room: float) -> Reals:
    """Springs along edges and repulsion between all (Fruchterman and Reingold, 1991); around the origin."""
    count = len(places)
    heat = float(np.sqrt(count)) / 2
    cooling = (0.02 / heat) ** (1 / TURNS)
    tie = tie.astype(np.float32)
    at = (places / room).astype(np.float32)
    for _ in range(TURNS):
        lengths = (at * at).sum(axis=1)
        square = np.maximum(lengths[:, None] + lengths - 2.0 * (at @ at.T), 1e-3)
        force = 1.0 / square - tie * np.sqrt(square)
        # the sum of force · (own - other) over all others
        moves = at * (force.sum(axis=1) - GRAVITY)[:, None] - force @ at
        moves *= np.minimum(1.0, heat / np.sqrt((moves * moves).sum(axis=1, keepdims=True) + 1e-9))
        at += moves
        heat *= cooling
    return np.asarray(room * (at - at.mean(axis=0)), dtype=np.float64)


def _disc(count: int, edges: _Edges) -> Reals:
    """Entities by springs."""
    pull = np.bincount(edges.heads, edges.weights, count) + np.bincount(edges.tails, edges.weights, count)
    places = np.empty((count, 2))
    places[np.argsort(-pull, kind="stable")] = _spiral(np.full(count, ROOM))
    if count < 3:
        return np.asarray(places - places.mean(axis=0))
    places = _spread(_sprung(places, _ties(count, edges), ROOM), np.full(count, ROOM))
    return _parted(places, np.full(count, 0.62 * ROOM), 20)


def _spread(places: Reals, radii: Reals) -> Reals:
    """As far out as the discs that lie nearer to the middle take room: without holes, and nothing far away."""
    out = np.sqrt((places * places).sum(axis=1)) + 1e-9
    order = np.argsort(out, kind="stable")
    area = radii[order] ** 2
    ring = np.empty(len(out))
    ring[order] = np.sqrt(np.cumsum(area) - 0.5 * area)
    return np.asarray(places * (ring / out)[:, None])


def _parted(places: Reals, radii: Reals, turns: int) -> Reals:
    """Moves discs that overlap apart."""
    x, y = places.T.copy()
    least = radii[:, None] + radii
    mass = radii * radii
    share = mass / (mass[:, None] + mass)  # the larger one moves less
    for _ in range(turns):
        dx, dy = x[:, None] - x, y[:, None] - y
        apart = np.sqrt(dx * dx + dy * dy) + 1e-6
        push = np.maximum(least - apart, 0.0)
        np.fill_diagonal(push, 0.0)
        if not push.any():
            break
        push *= share / apart
        x, y = x + (dx * push).sum(axis=1), y + (dy * push).sum(axis=1)
    return np.stack((x, y), axis=1)


def _packed(radii: Reals, between: _Edges) -> Reals:
    """Centres of discs that do not overlap, near to what they are joined with. The first ones are the largest; those
    that nothing joins lie around the others."""
    joined = np.zeros(len(radii), dtype=np.bool_)
    joined[between.heads] = joined[between.tails] = True
    core = np.flatnonzero(joined)[:CROWD]
    centres, own = np.zeros((len(radii), 2)), GAP * radii[core]
    taken = 0.0
    if len(core):
        tie = _ties(len(core), between.among(core, len(radii)))
        room = 2.0 * float(own.mean())
        # close together: springs unfold what far apart would keep its order
        near = _sprung(1e-3 * _spiral(own), tie, room)
        near = _parted(_spread(near, own), own, APART)
        centres[core] = near - (near.max(axis=0) + near.min(axis=0)) / 2
        taken = float((np.sqrt((centres[core] ** 2).sum(axis=1)) + own).max())
    around = np.ones(len(radii), dtype=np.bool_)
    around[core] = False
    centres[around] = _rings(GAP * radii[around], taken)
    return centres


def _rings(radii: Reals, taken: float) -> Reals:
    """Centres of discs, by falling radius, in rings around a disc of the radius `taken`, evenly around it."""
    centres = np.zeros((len(radii), 2))
    begin = 0
    while begin < len(radii):
        out = taken + float(radii[begin])  # the widest of the ring
        angles = np.cumsum(2.0 * np.arcsin(np.minimum(1.0, radii[begin:] / max(out, 1e-9))))
        end = begin + max(1, int(np.searchsorted(angles, 2.0 * np.pi, side="right")))
        angle = angles[: end - begin] * 2.0 * np.pi / angles[end - begin - 1]
        centres[begin:end] = out * np.stack((np.cos(angle), np.sin(angle)), axis=1)
        taken, begin = out + float(radii[begin]), end
    return centres


def _turned(
    places: Reals, edges: _Edges, group: NDArray[np.int64], centres: Reals, apart: NDArray[np.bool_]
) -> None:
    """Turns the entities of each group around its centre so that those joined with another group lie towards it: the
    angle of the largest sum of weight · cosine."""
    source = np.concatenate((edges.heads[apart], edges.tails[apart]))
    target = np.concatenate((edges.tails[apart], edges.heads[apart]))
    weight = np.concatenate((edges.weights[apart], edges.weights[apart]))
    way = centres[group[target]] - centres[group[source]]
    way /= np.sqrt((way * way).sum(axis=1, keepdims=True)) + 1e-9
    own = places[source]
    count = len(centres)
    along = np.bincount(group[source], weight * (own * way).sum(axis=1), count)
    across = np.bincount(group[source], weight * (own[:, 0] * way[:, 1] - own[:, 1] * way[:, 0]), count)
    angle = np.arctan2(across, along)[group]
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = places[:, 0] * cos - places[:, 1] * sin, places[:, 0] * sin + places[:, 1] * cos
    places[:, 0], places[:, 1] = x, y
