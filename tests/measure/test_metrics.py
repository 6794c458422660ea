from __future__ import annotations

import random

import pytest
import pytrec_eval

from ragstone.measure.metrics import ndcg, percentile, recall, reciprocal_rank


def test_metrics_equal_trec_eval() -> None:
    dice = random.Random(5)
    documents = [f"d{i}" for i in range(200)]
    judged = {f"q{q}": {d: dice.choice([0, 1, 1, 2, 3]) for d in dice.sample(documents, 12)} for q in range(30)}
    runs = {q: dice.sample(documents, 150) for q in judged}
    scored = {q: {d: float(len(ranking) - i) for i, d in enumerate(ranking)} for q, ranking in runs.items()}
    theirs = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut.10", "recall.10,100", "recip_rank"}).evaluate(scored)
    for query, ranking in runs.items():
        assert ndcg(ranking, judged[query], 10) == pytest.approx(theirs[query]["ndcg_cut_10"])
        assert recall(ranking, judged[query], 10) == pytest.approx(theirs[query]["recall_10"])
        assert recall(ranking, judged[query], 100) == pytest.approx(theirs[query]["recall_100"])
        assert reciprocal_rank(ranking, judged[query]) == pytest.approx(theirs[query]["recip_rank"])


def test_nothing_found_and_nothing_relevant() -> None:
    assert ndcg([], {"a": 1}, 10) == 0.0
    assert ndcg(["a"], {"a": 0}, 10) == 0.0
    assert recall(["a"], {}, 10) == 0.0
    assert reciprocal_rank(["b"], {"a": 1}) == 0.0


def test_percentile_is_the_nearest_rank() -> None:
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert percentile(values, 0.5) == 3.0
    assert percentile(values, 0.95) == 5.0
    assert percentile(values, 0.2) == 1.0
    assert percentile([], 0.5) == 0.0
