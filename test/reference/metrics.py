"""Golden values for data/metrics: scikit-learn, SciPy, statsmodels and MONAI on inputs drawn from counters.

    python test/reference/metrics.py
"""

import numpy as np
from scipy.stats import permutation_test
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.preprocessing import StandardScaler
from statsmodels.stats.multitest import multipletests

import golden
from counters import classes, uniform


def numbers(array) -> list:
    return [golden.number(v) for v in np.asarray(array, np.float64).ravel()]


def labelled(name: str, n: int, features: int, count: int, signal: float):
    """Rows whose first features lean towards their class; the tests build the same (test/metrics.ts)."""
    x = uniform(5, f"{name}.x", (n, features), 1.0).astype(np.float64)
    y = classes(5, f"{name}.y", (n,), count)
    for f in range(features):
        x[:, f] += signal * (y == f % count) / (1 + f)
    # Scales and offsets as different as those of real features.
    return x * (1 + np.arange(features)) + np.arange(features) ** 2, y


def ranking() -> None:
    cases = {}
    for name, n, count, step in [("fine", 60, 3, 0), ("ties", 80, 4, 0.25), ("few", 16, 3, 0.5), ("binary", 40, 2, 0.1)]:
        scores = uniform(3, f"{name}.s", (n, count), 1.0).astype(np.float64)
        y = classes(3, f"{name}.y", (n,), count)
        scores[np.arange(n), y] += 0.4
        if step:
            scores = np.round(scores / step)
        hot = np.eye(count)[y]
        cases[name] = {
            "n": n,
            "classes": count,
            "step": step,
            "auroc": numbers([roc_auc_score(hot[:, c], scores[:, c]) for c in range(count)]),
            "ap": numbers([average_precision_score(hot[:, c], scores[:, c]) for c in range(count)]),
            "macroAuroc": golden.number(roc_auc_score(hot, scores, average="macro")),
            "macroAp": golden.number(average_precision_score(hot, scores, average="macro")),
        }
    golden.write("metrics/ranking.json", {"cases": cases})


def logistic() -> None:
    cases = {}
    for name, n, features, count, c in [
        ("many", 120, 6, 3, 1.0),
        ("wide", 16, 40, 3, 1.0),
        ("weak", 60, 5, 4, 100.0),
        ("strong", 60, 5, 4, 0.01),
        ("binary", 50, 7, 2, 1.0),
    ]:
        x, y = labelled(name, n, features, count, 0.8)
        scaler = StandardScaler().fit(x)
        fitted = LogisticRegression(C=c, tol=1e-10, max_iter=10000).fit(scaler.transform(x), y)
        test, _ = labelled(f"{name}.test", 12, features, count, 0.8)
        cases[name] = {
            "n": n,
            "features": features,
            "classes": count,
            "c": c,
            "coefficients": numbers(fitted.coef_),
            "intercept": numbers(fitted.intercept_),
            "probabilities": numbers(fitted.predict_proba(scaler.transform(test))),
        }
    golden.write("metrics/logistic.json", {"cases": cases})


def paired() -> None:
    flips = {}
    for name, n, shift, step in [("six", 6, 0.0, 0), ("clear", 6, 2.0, 0), ("ties", 8, 0.3, 0.5), ("two", 2, 0.2, 0), ("twelve", 12, 0.3, 0)]:
        d = uniform(9, name, (n,), 1.0).astype(np.float64) + shift
        if step:
            d = np.round(d / step)
        # permutation_test doubles the smaller tail, which for a statistic symmetric under sign flips is the count of
        # assignments at least as extreme on either side.
        p = permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
        flips[name] = {"n": n, "shift": shift, "step": step, "mean": golden.number(d.mean()), "p": golden.number(p)}
    corrected = {}
    for name, p in {
        "plain": [0.03125, 0.0625, 0.01, 0.5],
        "ties": [0.02, 0.02, 0.02],
        "monotone": [0.011, 0.012, 0.9, 0.04, 0.0001],
        "capped": [0.6, 0.7, 1.0],
    }.items():
        corrected[name] = {"p": p, "adjusted": numbers(multipletests(p, method="holm")[1])}
    quantiles = {
        str(q): golden.number(np.quantile(uniform(2, "quantile", (17,)).astype(np.float64), q)) for q in (0, 0.025, 0.5, 0.9, 1)
    }
    golden.write("metrics/paired.json", {"flips": flips, "holm": corrected, "quantiles": quantiles})


def main() -> None:
    (golden.GOLDEN / "metrics").mkdir(exist_ok=True)
    ranking()
    logistic()
    paired()


if __name__ == "__main__":
    main()
