"""Golden values for data/metrics: scikit-learn, SciPy, statsmodels and MONAI on inputs drawn from counters.

    python test/reference/metrics.py
"""

import numpy as np
import torch
from monai.metrics import compute_froc_curve_data, compute_froc_score, compute_hausdorff_distance, compute_surface_dice
from scipy import ndimage
from scipy.stats import permutation_test
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score, roc_curve
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


def balls(dims, list_of_balls) -> np.ndarray:
    """Labels: 1 inside any ellipsoid (centre, radii), in voxels."""
    grid = np.meshgrid(*(np.arange(n) for n in dims), indexing="ij")
    out = np.zeros(dims, np.uint8)
    for centre, radii in list_of_balls:
        out[sum(((g - c) / r) ** 2 for g, c, r in zip(grid, centre, radii)) <= 1] = 1
    return out


def speckle(name: str, dims, share: float) -> np.ndarray:
    return (uniform(6, name, dims, 0.5, 0.5) < share).astype(np.uint8)


SURFACES = {
    "shifted": ((14, 12, 10), (1.5, 1.5, 2.0), [((6, 6, 5), (4, 4, 3))], [((7, 6, 5), (4, 3, 3))], 2.0),
    "anisotropic": ((12, 20, 18), (5.0, 0.7, 0.9), [((5, 9, 8), (3, 7, 6))], [((6, 11, 8), (3, 6, 7))], 3.0),
    "border": ((8, 8, 8), (1.0, 1.0, 1.0), [((0, 0, 0), (4, 4, 4))], [((0, 1, 0), (4, 5, 3))], 1.0),
    "apart": ((9, 10, 30), (1.0, 2.0, 0.8), [((4, 4, 3), (2, 2, 2))], [((4, 5, 25), (3, 2, 2))], 10.0),
    "two": ((16, 16, 16), (1.2, 1.0, 1.0), [((3, 3, 3), (2, 2, 2)), ((12, 12, 12), (3, 3, 3))], [((12, 11, 12), (3, 3, 2))], 1.5),
    "equal": ((10, 10, 10), (1, 1, 1), [((5, 5, 5), (3, 3, 3))], [((5, 5, 5), (3, 3, 3))], 0.0),
    "one voxel": ((6, 6, 6), (0.7, 0.7, 0.7), [((1, 1, 1), (0.5, 0.5, 0.5))], [((1, 1, 3), (0.5, 0.5, 0.5))], 1.4),
    "no prediction": ((6, 6, 6), (1, 1, 1), [((2, 2, 2), (1, 1, 1))], [], 2.0),
    "no truth": ((6, 6, 6), (1, 1, 1), [], [((2, 2, 2), (1, 1, 1))], 2.0),
    "neither": ((6, 6, 6), (1, 1, 1), [], [], 2.0),
}


def surface() -> None:
    cases = {}
    todo = {name: (dims, sp, balls(dims, t), balls(dims, p), tol, {"truth": t, "predicted": p}) for name, (dims, sp, t, p, tol) in SURFACES.items()}
    for name, dims, sp, a, b, tol in [("speckle", (11, 13, 9), (1.3, 0.8, 2.1), 0.05, 0.03, 2.0), ("dense", (7, 8, 9), (3.0, 1.0, 1.0), 0.5, 0.6, 1.0)]:
        todo[name] = (dims, sp, speckle(f"{name}.t", dims, a), speckle(f"{name}.p", dims, b), tol, {"speckle": [a, b]})
    for name, (dims, spacing, truth, predicted, tolerance, recipe) in todo.items():
        p, t = (torch.from_numpy(v)[None, None].bool() for v in (predicted, truth))
        common = {"include_background": True, "spacing": list(spacing)}
        nsd = float(compute_surface_dice(p, t, [tolerance], **common)[0, 0])
        hd = float(compute_hausdorff_distance(p, t, percentile=95, **common)[0, 0])
        most = float(compute_hausdorff_distance(p, t, **common)[0, 0])
        tell = lambda v: golden.number(v) if np.isfinite(v) else str(v)
        cases[name] = {
            "dims": dims, "spacing": spacing, "tolerance": tolerance, **recipe, "nsd": tell(nsd), "hd95": tell(hd), "hd": tell(most),
        }
    flags = speckle("edt", (9, 7, 8), 0.03)
    field = ndimage.distance_transform_edt(1 - flags, sampling=(2.5, 0.6, 1.1))
    golden.write("metrics/surface.json", {"cases": cases, "edt": numbers(field)})


def lesions() -> None:
    cases = {}
    for name, (share_t, share_p) in {"sparse": (0.02, 0.03), "touching": (0.08, 0.08), "none": (0.0, 0.02)}.items():
        dims, spacing = (14, 12, 13), (1.0, 1.5, 2.0)
        truth, predicted = speckle(f"{name}.t", dims, share_t), speckle(f"{name}.p", dims, share_p)
        case = {"dims": dims, "spacing": spacing, "speckle": [share_t, share_p]}
        for connectivity, structure in [(6, None), (26, np.ones((3, 3, 3)))]:
            t, nt = ndimage.label(truth, structure)
            p, np_ = ndimage.label(predicted, structure)
            size = lambda ids, n: sorted(int(v) for v in np.bincount(ids.ravel(), minlength=n + 1)[1:])
            case[f"c{connectivity}"] = {
                "truth": nt, "found": len(set(t[(predicted > 0) & (t > 0)])),
                "predicted": np_, "right": len(set(p[(truth > 0) & (p > 0)])), "sizes": size(t, nt),
            }
        cases[name] = case
    curves = {}
    for name, images, wrong, lesions_, hits in [("usual", 8, 30, 20, 14), ("all found", 5, 12, 6, 6), ("clean", 4, 0, 5, 3)]:
        fp = np.round(uniform(4, f"{name}.fp", (wrong,), 0.45, 0.5).astype(np.float64), 2)
        tp = np.zeros(lesions_)
        tp[:hits] = np.round(uniform(4, f"{name}.tp", (hits,), 0.4, 0.6).astype(np.float64), 2)
        # MONAI drops the lowest score, which it takes for the zeros of lesions that nothing hit: there must be one.
        rates, sensitivity = compute_froc_curve_data(fp, tp if hits < lesions_ else np.append(tp, -1.0), lesions_, images)
        at = (0.125, 0.25, 0.5, 1, 2, 4, 8)
        curves[name] = {
            "images": images, "lesions": lesions_, "fp": numbers(fp), "tp": numbers(tp),
            "at": numbers(np.interp(at, rates[::-1], sensitivity[::-1])),
            "average": golden.number(compute_froc_score(rates, sensitivity, at)),
        }
    golden.write("metrics/lesions.json", {"cases": cases, "froc": curves})


def classification() -> None:
    cases = {}
    for name, n, step in [("fine", 90, 0), ("edges", 120, 0.125)]:
        p = uniform(3, f"{name}.p", (n,), 0.5, 0.5).astype(np.float64)
        y = (uniform(3, f"{name}.u", (n,), 0.5, 0.5) < 0.2 + 0.6 * p).astype(int)
        if step:
            p = np.round(p / step) * step
        observed, predicted = calibration_curve(y, p, n_bins=10)
        fpr, tpr, thresholds = roc_curve(y, p, drop_intermediate=False)
        cases[name] = {
            "n": n, "step": step, "brier": golden.number(brier_score_loss(y, p)),
            "observed": numbers(observed), "predicted": numbers(predicted),
            "youden": golden.number(thresholds[np.argmax(tpr - fpr)]),
            "at90": golden.number(thresholds[np.argmax(tpr >= 0.9)]),
        }
    golden.write("metrics/classification.json", {"cases": cases})


def main() -> None:
    (golden.GOLDEN / "metrics").mkdir(exist_ok=True)
    ranking()
    logistic()
    paired()
    surface()
    lesions()
    classification()


if __name__ == "__main__":
    main()
