"""MONAI's SwinUNETR with counter weights: the model that the goldens and parity.py run."""

from dataclasses import asdict, dataclass

import numpy as np
import torch
from monai.losses import DiceCELoss
from monai.networks.nets import SwinUNETR
from monai.networks.nets.swin_unetr import MERGING_MODE, PatchMergingV2

from counters import classes, uniform

# The order (d, h, w) in which patch merging concatenates a voxel's eight neighbours.
MERGING_ORDERS = {
    "legacy": ["000", "100", "010", "001", "101", "010", "001", "111"],  # MONAI 0.9 to 1.4, "merging": two twice, two never
    "mergingv2": ["000", "001", "010", "011", "100", "101", "110", "111"],
    "merging": ["000", "100", "010", "001", "110", "101", "011", "111"],  # MONAI 1.5 and later
}

PARAMETER_COUNTS = {  # (feature size, V2) with in 1, out 14
    (12, False): 4_078_220,
    (12, True): 4_739_180,
    (24, False): 15_703_304,
    (24, True): 18_347_144,
    (48, False): 62_187_296,
    (48, True): 72_762_656,
}


class LegacyPatchMerging(PatchMergingV2):
    """Patch merging as published in MONAI 0.9 to 1.4, for even sizes: [b d h w c] -> [b d/2 h/2 w/2 2c]."""

    def forward(self, x):
        parts = [x[:, int(o[0]) :: 2, int(o[1]) :: 2, int(o[2]) :: 2, :] for o in MERGING_ORDERS["legacy"]]
        return self.reduction(self.norm(torch.cat(parts, -1)))


BLOCK = 16  # voxels a side of a block of one label


@dataclass(frozen=True)
class Config:
    feature_size: int = 12
    size: tuple[int, int, int] = (64, 64, 64)  # d h w
    use_v2: bool = False
    merging: str = "merging"
    in_channels: int = 1
    out_channels: int = 14
    batch: int = 1
    seed: int = 1
    leaky_slope: float = 0.01  # MONAI's; 1 removes the kinks, see swinunetr.py

    @property
    def name(self) -> str:
        size = str(self.size[0]) if len(set(self.size)) == 1 else "x".join(map(str, self.size))
        slope = "" if self.leaky_slope == 0.01 else f"-slope{self.leaky_slope:g}"
        return f"f{self.feature_size}-{size}-{'v2' if self.use_v2 else 'v1'}-{self.merging}{slope}"

    def to_json(self) -> dict:
        return {**asdict(self), "size": list(self.size)}


def merging_order(module: type) -> list[str]:
    """The order in which a patch merging module reads the neighbours, found by running it on their numbers."""
    merge = module(dim=1)
    merge.norm = torch.nn.Identity()
    merge.reduction = torch.nn.Identity()
    neighbours = torch.arange(8, dtype=torch.float32).reshape(1, 2, 2, 2, 1)  # value 4d + 2h + w
    return [format(int(v), "03b") for v in merge(neighbours).flatten()]


def parameter_value(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """f32 value of a parameter. Scales keep activations of order one:

    - tensors of two or more axes: ±sqrt(3 / fan_in), so variance 1 / fan_in; fan_in is the product of all axes but the
      first, and for a transposed convolution [ci co 2 2 2] of kernel 2 and stride 2 it is ci;
    - norm weights: 1 ± 0.2; norm biases, other biases and relative position bias tables: ±0.1.
    """
    if name.endswith("relative_position_bias_table"):
        return uniform(seed, name, shape, 0.1)
    if len(shape) >= 2:
        fan_in = shape[0] if "transp_conv" in name else int(np.prod(shape[1:]))
        return uniform(seed, name, shape, (3.0 / fan_in) ** 0.5)
    if name.endswith(".weight"):
        return uniform(seed, name, shape, 0.2, 1.0)
    return uniform(seed, name, shape, 0.1)


def build(config: Config, dtype: torch.dtype = torch.float64) -> SwinUNETR:
    """The network with counter weights; asserts the merging order and, at in 1, out 14, the parameter count."""
    downsample = {"legacy": LegacyPatchMerging, **MERGING_MODE}[config.merging]
    found = merging_order(downsample)
    assert found == MERGING_ORDERS[config.merging], f"{config.merging}: neighbours in order {found}"
    model = SwinUNETR(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        feature_size=config.feature_size,
        downsample=downsample,
        use_v2=config.use_v2,
    )
    names = {name for name, _ in model.named_parameters()}
    # The rest of the state dict is relative_position_index, which the architecture fixes.
    state = {
        key: torch.from_numpy(parameter_value(key, tuple(value.shape), config.seed)) if key in names else value
        for key, value in model.state_dict().items()
    }
    model.load_state_dict(state, strict=True)
    for module in model.modules():
        if isinstance(module, torch.nn.LeakyReLU):
            assert module.negative_slope == 0.01
            module.negative_slope = config.leaky_slope
    if config.in_channels == 1 and config.out_channels == 14:
        count = sum(p.numel() for p in model.parameters())
        expected = PARAMETER_COUNTS[config.feature_size, config.use_v2]
        assert count == expected, f"{config.name}: {count} parameters, expected {expected}"
    return model.to(dtype)


def inputs(config: Config) -> tuple[np.ndarray, np.ndarray]:
    """volume f32 [b c d h w] in [0, 1) and labels int64 [b 1 d h w] in [0, out_channels).

    Labels are constant in blocks of 16 voxels a side, drawn over [b d/16 h/16 w/16]; the volume is half noise and half
    label / out_channels. Where labels are noise too, every gradient is a sum of near-cancelling terms, and float32 says
    little about it."""
    blocks = classes(config.seed, "labels", (config.batch, 1, *(n // BLOCK for n in config.size)), config.out_channels)
    labels = blocks.repeat(BLOCK, 2).repeat(BLOCK, 3).repeat(BLOCK, 4)
    noise = uniform(config.seed, "volume", (config.batch, config.in_channels, *config.size), 0.5, 0.5).astype(np.float64)
    return (0.5 * noise + 0.5 * labels / config.out_channels).astype(np.float32), labels


def run(config: Config, dtype: torch.dtype = torch.float64, gradients: bool = True, model: SwinUNETR | None = None) -> dict:
    """Forward, MONAI's default DiceCELoss and backward -> {"logits", "loss", "grad.NAME"…}."""
    model = model if model is not None else build(config, dtype)
    volume, labels = (torch.from_numpy(a) for a in inputs(config))
    if not gradients:
        with torch.no_grad():
            return {"logits": model(volume.to(dtype))}
    logits = model(volume.to(dtype))
    loss = DiceCELoss(to_onehot_y=True, softmax=True)(logits, labels)
    loss.backward()
    result = {"logits": logits.detach(), "loss": loss.detach()}
    result.update({f"grad.{name}": p.grad for name, p in model.named_parameters()})
    return result
