"""LeakyReLU's kinks: how much float32 rounding may disturb a model's gradients through them.

A voxel whose LeakyReLU input is nearer to zero than rounding gets slope 0.01 on one machine and 1 on another, and neither is
wrong. A model's exposure is what that can do: the worst relative L2 change of any parameter's gradient when every such voxel
takes the other slope. It follows from weights and inputs alone.
"""

import torch
from monai.losses import DiceCELoss

from model import build, inputs

NEAR = 2e-6  # in units of the layer's root mean square: for comparing seeds


def near(x: torch.Tensor, limit: float = NEAR) -> torch.Tensor:
    return x.abs() < limit * x.square().mean().sqrt()


def risk(config) -> float:
    """sqrt(Σ near / N) over the layers: what one voxel in N changes, were all layers alike."""
    model = build(config, torch.float32)
    total = 0.0

    def count(_module, args):
        nonlocal total
        total += near(args[0]).sum().item() / args[0].numel()

    for module in model.modules():
        if isinstance(module, torch.nn.LeakyReLU):
            module.register_forward_pre_hook(count)
    with torch.no_grad():
        model(torch.from_numpy(inputs(config)[0]))
    return total**0.5


class Kink(torch.autograd.Function):
    """LeakyReLU whose gradient takes the other slope at voxels near zero while `exchanged`."""

    exchanged = False

    @staticmethod
    def forward(ctx, x, slope, limit):
        ctx.slope = slope
        ctx.save_for_backward(x > 0, near(x, limit))
        return torch.where(x > 0, x, slope * x)

    @staticmethod
    def backward(ctx, dy):
        above, close = ctx.saved_tensors
        return torch.where(above ^ close if Kink.exchanged else above, dy, ctx.slope * dy), None, None


def exposure(config, limit: float = NEAR) -> tuple[float, str]:
    """`limit`: how near zero counts, in units of the layer's root mean square. Returns the worst change, and whose."""
    model = build(config, torch.float32)
    for module in model.modules():
        if isinstance(module, torch.nn.LeakyReLU):
            module.forward = lambda x, slope=module.negative_slope: Kink.apply(x, slope, limit)
    volume, labels = (torch.from_numpy(a) for a in inputs(config))
    loss = DiceCELoss(to_onehot_y=True, softmax=True)(model(volume), labels)
    names, parameters = zip(*model.named_parameters())
    Kink.exchanged = False
    own = torch.autograd.grad(loss, parameters, retain_graph=True)
    Kink.exchanged = True
    other = torch.autograd.grad(loss, parameters)
    total = sum(float(g.double().square().sum()) for g in own) ** 0.5
    return max(
        (float((a - b).norm()) / max(float(a.norm()), 1e-4 * total), name) for name, a, b in zip(names, own, other)
    )
