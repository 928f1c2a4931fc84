"""Golden values for the data room: MONAI's Spacing, sliding windows, importance map, and nibabel's orientations.

    python test/reference/data.py > test/golden/data.json
"""
import json

import nibabel as nib
import numpy as np
import torch
from monai.data import MetaTensor
from monai.data.utils import compute_importance_map, dense_patch_slices
from monai.inferers import sliding_window_inference
from monai.inferers.utils import _get_scan_interval
from monai.metrics import DiceMetric
from monai.transforms import Spacing, SpatialPad


def pattern(dims, step=(7, 13, 5), modulus=17):
    """The volume that test/pure/data.monai.ts builds too: ((7 i + 13 j + 5 k) mod 17)."""
    i, j, k = np.meshgrid(*(np.arange(n) for n in dims), indexing="ij")
    return ((step[0] * i + step[1] * j + step[2] * k) % modulus).astype(np.float32)


def rounded(array, digits=5):
    return [round(float(v), digits) for v in np.asarray(array).ravel()]


def spacing_cases():
    for dims, old, new in [((7, 6, 5), (1.3, 0.9, 2.1), (1.0, 1.5, 1.7)), ((9, 8, 4), (3, 3, 3), (1.5, 1.5, 2.0))]:
        affine = np.diag([*old, 1.0])
        affine[:3, 3] = [10, -20, 30]
        image = MetaTensor(torch.from_numpy(pattern(dims))[None], affine=torch.from_numpy(affine))
        case = {"dims": dims, "old": old, "new": new}
        for mode in ["bilinear", "nearest"]:
            out = Spacing(pixdim=new, mode=mode)(image)
            case[mode] = rounded(out.numpy(), 4)
            case["out"] = [int(n) for n in out.shape[1:]]
            case["affine"] = rounded(out.affine.numpy(), 6)
        yield case


def window_cases():
    for dims, roi, overlap, mode in [
        ((11, 9, 7), (6, 4, 7), 0.5, "gaussian"),
        ((10, 5, 8), (4, 6, 3), 0.25, "constant"),
        ((13, 8, 8), (8, 8, 8), 0.7, "gaussian"),
    ]:
        image = torch.from_numpy(pattern(dims))[None, None]
        local = torch.from_numpy(pattern(roi, (3, 5, 11), 7))[None, None]
        out = sliding_window_inference(
            image, roi, 1, lambda x: torch.cat([x, x * local, local.expand_as(x)], 1), overlap=overlap, mode=mode
        )
        padded = [max(a, b) for a, b in zip(dims, roi)]
        steps = _get_scan_interval(padded, roi, 3, [overlap] * 3)
        starts = [[int(s.start) for s in sl] for sl in dense_patch_slices(padded, roi, steps)]
        yield {"dims": dims, "roi": roi, "overlap": overlap, "mode": mode, "starts": starts, "blended": rounded(out, 4)}


def orientation_cases():
    rng = np.random.default_rng(0)
    for _ in range(40):
        q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        affine = np.eye(4)
        affine[:3, :3] = q @ np.diag(rng.uniform(0.5, 3, 3)) + rng.normal(size=(3, 3)) * 0.05
        affine[:3, 3] = rng.uniform(-100, 100, 3)
        yield {"affine": rounded(affine, 9), "codes": "".join(nib.aff2axcodes(affine))}


def dice_case():
    a, b = pattern((6, 6, 6), (1, 2, 3), 5), pattern((6, 6, 6), (2, 1, 3), 4)
    one = lambda x: torch.nn.functional.one_hot(torch.from_numpy(x).long(), 6).movedim(-1, 0)[None]
    value = DiceMetric(include_background=True, reduction="none")(one(a), one(b))[0]
    return [None if np.isnan(v) else round(float(v), 6) for v in value]


if __name__ == "__main__":
    json.dump(
        {
            "spacing": list(spacing_cases()),
            "windows": list(window_cases()),
            "importance": [
                {"roi": roi, "map": rounded(compute_importance_map(roi, "gaussian", 0.125), 7)} for roi in [(6, 4, 5), (8, 8, 3)]
            ],
            "orientation": list(orientation_cases()),
            "dice": dice_case(),
            "rot90": rounded(np.rot90(pattern((3, 2, 3)), 1, (0, 2)), 0),
            "pad": rounded(SpatialPad((6, 5, 4), value=-1)(pattern((3, 5, 3))[None]), 0),
        },
        __import__("sys").stdout,
    )
