"""Goldens of composite operations and MONAI blocks in float64: outputs, and gradients by every input; test/golden/ops/.

Each file is one operation with its cases. Inputs are not stored: input NAME of case CASE is
uniform(11, "CASE.NAME", shape, scale, base) from counters.py, or classes(11, "CASE.NAME", shape, count) where `classes` is
given; the cotangent of output NAME is uniform(11, "CASE.dNAME", shape). Memory order is PyTorch's.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from monai.losses import DiceCELoss, DiceLoss
from monai.networks.blocks import UnetrBasicBlock, UnetrUpBlock
from monai.networks.nets.swin_unetr import PatchMerging, PatchMergingV2, SwinTransformerBlock, WindowAttention, compute_mask, get_window_size

import golden
from counters import classes, uniform
from model import MERGING_ORDERS, LegacyPatchMerging, merging_order

SEED = 11
FULL = 4096  # tensors of up to so many values are stored whole


@dataclass(frozen=True)
class Uniform:
    """An input in base ± scale, differentiated by."""

    shape: tuple[int, ...]
    scale: float = 1.0
    base: float = 0.0
    axes: str | None = None


@dataclass(frozen=True)
class Classes:
    """An input of integers below `count`."""

    shape: tuple[int, ...]
    count: int
    axes: str | None = None


def value(case: str, name: str, spec: Uniform | Classes) -> torch.Tensor:
    if isinstance(spec, Classes):
        return torch.from_numpy(classes(SEED, f"{case}.{name}", spec.shape, spec.count))
    return torch.from_numpy(uniform(SEED, f"{case}.{name}", spec.shape, spec.scale, spec.base)).double()


def describe(spec: Uniform | Classes) -> dict:
    out = {"shape": list(spec.shape)}
    if isinstance(spec, Classes):
        out["classes"] = spec.count
    else:
        out.update({"scale": spec.scale, "base": spec.base})
    return {**out, "axes": spec.axes} if spec.axes else out


def stored(x: torch.Tensor, axes: str | None) -> dict:
    if x.numel() > FULL:
        return golden.summary(x, axes)
    out = golden.full(x)
    return {**out, "axes": axes} if axes else out


def case(name: str, options: dict, inputs: dict, function, axes: str | None = None) -> dict:
    """Run `function` on the inputs in their order; it returns one tensor. `axes` names the output's axes."""
    tensors = {key: value(name, key, spec) for key, spec in inputs.items()}
    for key, tensor in tensors.items():
        tensor.requires_grad_(isinstance(inputs[key], Uniform))
    y = function(*tensors.values())
    cotangent = torch.from_numpy(uniform(SEED, f"{name}.dy", tuple(y.shape))).double()
    if y.ndim == 0:  # a loss: its own gradient
        cotangent = torch.ones((), dtype=torch.float64)
    y.backward(cotangent)
    return {
        "case": name,
        "options": options,
        "inputs": {key: describe(spec) for key, spec in inputs.items()},
        "outputs": {"y": stored(y, axes)},
        "gradients": {
            key: stored(t.grad, getattr(inputs[key], "axes", None)) for key, t in tensors.items() if t.grad is not None
        },
    }


def module_case(name: str, options: dict, inputs: dict, module: torch.nn.Module, call, axes: str | None = None) -> dict:
    """As `case`, with the module's parameters as further inputs under their own names."""
    module = module.double()
    parameters = {}
    for key, p in module.named_parameters():
        if p.ndim >= 2 and not key.endswith("table"):
            fan_in = p.shape[0] if "transp_conv" in key else p[0].numel()
            parameters[key] = Uniform(tuple(p.shape), round((3 / fan_in) ** 0.5, 3))
        elif key.endswith("weight"):
            parameters[key] = Uniform(tuple(p.shape), 0.2, 1.0)
        else:
            parameters[key] = Uniform(tuple(p.shape), 0.5)

    every = {**inputs, **parameters}

    def function(*values):
        tensors = dict(zip(every, values))
        return torch.func.functional_call(module, {key: tensors[key] for key in parameters}, call(tensors))

    return case(name, options, every, function, axes)


VOLUME = "b c d h w"
LAST = "b d h w c"


def convolution(name, x, weight, stride, padding, bias=False):
    fan_in = weight[1] * weight[2] ** 3
    inputs = {"x": Uniform(x, axes=VOLUME), "weight": Uniform(weight, round((3 / fan_in) ** 0.5, 3))}
    if bias:
        inputs["bias"] = Uniform(weight[:1], 0.5)

    def function(x, weight, bias=None):
        return F.conv3d(x, weight, bias, stride=stride, padding=padding)

    return case(f"conv3d.{name}", {"stride": stride, "padding": padding}, inputs, function, VOLUME)


def conv3d() -> list[dict]:
    return [
        convolution("k3s1", (2, 3, 5, 4, 6), (5, 3, 3, 3, 3), 1, 1),
        convolution("k3s1ci1", (1, 1, 6, 5, 7), (4, 1, 3, 3, 3), 1, 1),
        convolution("k3s1c16", (1, 16, 3, 5, 4), (16, 16, 3, 3, 3), 1, 1),
        convolution("k3s2", (1, 4, 7, 5, 6), (3, 4, 3, 3, 3), 2, 1),
        convolution("k1", (2, 6, 3, 2, 5), (4, 6, 1, 1, 1), 1, 0, bias=True),
        convolution("k2s2", (1, 1, 6, 4, 8), (12, 1, 2, 2, 2), 2, 0, bias=True),
        convolution("k2s2odd", (1, 3, 7, 5, 4), (4, 3, 2, 2, 2), 2, 0),
    ]


def conv_transpose3d() -> list[dict]:
    inputs = {"x": Uniform((2, 6, 3, 4, 2), axes=VOLUME), "weight": Uniform((6, 4, 2, 2, 2), 0.707)}
    function = lambda x, weight: F.conv_transpose3d(x, weight, stride=2)
    return [case("conv_transpose3d.k2s2", {"stride": 2}, inputs, function, VOLUME)]


def linear() -> list[dict]:
    inputs = {"x": Uniform((2, 5, 12)), "weight": Uniform((7, 12), 0.5), "bias": Uniform((7,), 0.5)}
    return [
        case("linear.bias", {}, inputs, F.linear),
        case("linear.plain", {}, {k: inputs[k] for k in ("x", "weight")}, F.linear),
    ]


def norms() -> dict[str, list[dict]]:
    affine = {"x": Uniform((3, 4, 10), 2.0, 0.5), "weight": Uniform((10,), 0.2, 1.0), "bias": Uniform((10,), 0.1)}
    volume = Uniform((2, 3, 4, 5, 3), 2.0, 0.5, axes=VOLUME)
    return {
        "layer_norm": [
            case("layer_norm.affine", {"eps": 1e-5}, affine, lambda x, weight, bias: F.layer_norm(x, (10,), weight, bias)),
            case("layer_norm.plain", {"eps": 1e-5}, {"x": affine["x"]}, lambda x: F.layer_norm(x, (10,))),
        ],
        "instance_norm": [
            case("instance_norm.plain", {"eps": 1e-5}, {"x": volume}, lambda x: F.instance_norm(x, eps=1e-5), VOLUME),
            # Far from zero: E[x²] - E[x]² in float32 fails here.
            case("instance_norm.offset", {"eps": 1e-5}, {"x": Uniform(volume.shape, 0.5, 40.0, VOLUME)}, F.instance_norm, VOLUME),
        ],
        "batch_norm": [
            case("batch_norm.plain", {"eps": 1e-5}, {"x": Uniform((6, 5))}, lambda x: F.batch_norm(x, None, None, training=True)),
        ],
        "normalize": [case("normalize.last", {"eps": 1e-12}, {"x": Uniform((4, 6))}, lambda x: F.normalize(x, dim=-1))],
    }


def activations() -> dict[str, list[dict]]:
    return {
        "gelu": [case("gelu.exact", {}, {"x": Uniform((96,), 6.0)}, F.gelu)],
        "leaky_relu": [case("leaky_relu.slope", {"slope": 0.01}, {"x": Uniform((48,), 2.0)}, lambda x: F.leaky_relu(x, 0.01))],
        "softmax": [
            case("softmax.last", {"axis": 1}, {"x": Uniform((5, 9), 4.0)}, lambda x: F.softmax(x, -1)),
            case("softmax.middle", {"axis": 1}, {"x": Uniform((2, 5, 7), 4.0)}, lambda x: F.softmax(x, 1)),
            case("softmax.large", {"axis": 1}, {"x": Uniform((3, 6), 2.0, 200.0)}, lambda x: F.softmax(x, -1)),
        ],
    }


def losses() -> dict[str, list[dict]]:
    # 5 classes of which labels name 4, so that one is empty.
    inputs = {"logits": Uniform((2, 5, 4, 3, 4), 2.0, axes=VOLUME), "labels": Classes((2, 1, 4, 3, 4), 4, "b one d h w")}
    settings = {"to_onehot_y": True, "softmax": True}

    def of(prefix, kind, variants):
        return [
            case(f"{prefix}.{name}", {**settings, **more}, inputs, lambda logits, labels, m=more: kind(**settings, **m)(logits, labels))
            for name, more in variants.items()
        ]

    return {
        "cross_entropy": [
            case("cross_entropy.mean", {"axis": 1}, inputs, lambda logits, labels: F.cross_entropy(logits, labels[:, 0])),
            case("cross_entropy.rows", {"axis": 1}, {"logits": Uniform((6, 6), 3.0), "labels": Classes((6,), 6)}, F.cross_entropy),
        ],
        "dice": of("dice", DiceLoss, {"default": {}, "foreground": {"include_background": False}, "batch": {"batch": True}}),
        "dice_ce": of("dice_ce", DiceCELoss, {"default": {}, "weighted": {"lambda_dice": 0.5, "lambda_ce": 2.0}}),
    }


def window_attention() -> list[dict]:
    small = (3, 2, 4)
    n = 24
    out = []
    for name, masked in (("bias", False), ("mask", True)):
        inputs = {"x": Uniform((4, n, 12), axes="windows tokens c")}
        if masked:
            inputs["mask"] = Classes((2, n, n), 2, "window query key")  # times -100; window i of x takes mask i mod 2

        def call(t):
            return (t["x"], t["mask"].double() * -100 if "mask" in t else None)

        module = WindowAttention(12, 3, small, qkv_bias=True)
        options = {"heads": 3, "window": list(small)}
        out.append(module_case(f"window_attention.{name}", options, inputs, module, call, "windows tokens c"))
    # A clipped window: (2, 3, 3) tokens take rows and columns [:18, :18] of the 7³ index.
    inputs = {"x": Uniform((2, 18, 12), axes="windows tokens c")}
    module = WindowAttention(12, 3, (7, 7, 7), qkv_bias=True)
    options = {"heads": 3, "window": [7, 7, 7], "clipped": [2, 3, 3]}
    out.append(module_case("window_attention.clipped", options, inputs, module, lambda t: (t["x"], None), "windows tokens c"))
    return out


def swin_block() -> list[dict]:
    out = []
    for name, grid, shift in (("shifted", (10, 9, 5), 3), ("plain", (8, 3, 7), 0), ("shifted12x12x4", (12, 12, 4), 3)):
        module = SwinTransformerBlock(12, 3, (7, 7, 7), (shift,) * 3, qkv_bias=True)
        window, shifts = get_window_size(grid, (7, 7, 7), (shift,) * 3)
        padded = [-(-g // w) * w for g, w in zip(grid, window)]
        mask = compute_mask(padded, window, shifts, "cpu").double()
        options = {"heads": 3, "window": [7, 7, 7], "shift": shift, "clipped": list(window), "shifts": list(shifts)}
        inputs = {"x": Uniform((1, *grid, 12), axes=LAST)}
        out.append(module_case(f"swin_block.{name}", options, inputs, module, lambda t, m=mask: (t["x"], m), LAST))
    return out


def patch_merging() -> list[dict]:
    out = []
    for name, module in (("legacy", LegacyPatchMerging), ("mergingv2", PatchMergingV2), ("merging", PatchMerging)):
        assert merging_order(module) == MERGING_ORDERS[name]
        inputs = {"x": Uniform((1, 4, 2, 6, 3), axes=LAST)}
        options = {"order": MERGING_ORDERS[name]}
        out.append(module_case(f"patch_merging.{name}", options, inputs, module(3), lambda t: (t["x"],), LAST))
    return out


def residual_block() -> list[dict]:
    out = []
    for name, ci, co in (("same", 4, 4), ("wider", 3, 5), ("image", 1, 4)):
        module = UnetrBasicBlock(3, ci, co, 3, 1, "instance", res_block=True)
        inputs = {"x": Uniform((2, ci, 4, 5, 3), axes=VOLUME)}
        out.append(module_case(f"residual_block.{name}", {}, inputs, module, lambda t: (t["x"],), VOLUME))
    return out


def up_block() -> list[dict]:
    module = UnetrUpBlock(3, 6, 4, 3, 2, "instance", res_block=True)
    inputs = {"x": Uniform((1, 6, 2, 3, 2), axes=VOLUME), "skip": Uniform((1, 4, 4, 6, 4), axes=VOLUME)}
    return [module_case("up_block.k2s2", {}, inputs, module, lambda t: (t["x"], t["skip"]), VOLUME)]


def main() -> None:
    files = {
        "linear": linear(),
        "conv3d": conv3d(),
        "conv_transpose3d": conv_transpose3d(),
        **norms(),
        **activations(),
        **losses(),
        "window_attention": window_attention(),
        "swin_block": swin_block(),
        "patch_merging": patch_merging(),
        "residual_block": residual_block(),
        "up_block": up_block(),
    }
    for op, cases in files.items():
        golden.write(f"ops/{op}.json", {"op": op, "seed": SEED, "cases": {c.pop("case"): c for c in cases}})


if __name__ == "__main__":
    main()
