"""Goldens of pre-training's tasks in float64: sentences that find their place, pooled and view contrast, restoration with the report
through a gate, and losses of findings; test/golden/pretrain/.

Written from the specification, with PyTorch's own operations wherever it has them: batch_norm, multi_head_attention_forward,
cross_entropy, Hugging Face's BertModel. Reports are ragged here, a list of sentences each, where the product masks.

losses.json: single losses, with gradients by every input and parameter. Input NAME of case CASE is uniform(SEED, "CASE.NAME", shape);
integers stand in the golden. network.json: a tiny T3D (a U-Net and a BERT of one layer) by each method; parameters are
parameter_value(NAME, shape, SEED) from model.py. A gradient by all parameters at once is their concatenation in the order of names.
"""

import numpy as np
import torch
import torch.nn.functional as F
from transformers import BertConfig, BertModel

import golden
from counters import classes, uniform
from model import parameter_value

SEED = 31


class Weights:
    """Parameters by name, made when first asked for. `given` holds the values of those that are not counters'."""

    def __init__(self, dtype: torch.dtype, given: dict[str, float] | None = None) -> None:
        self.dtype, self.given, self.made = dtype, given or {}, {}

    def __call__(self, name: str, *shape: int) -> torch.Tensor:
        if name not in self.made:
            value = torch.from_numpy(parameter_value(name, shape, SEED)).to(self.dtype)
            if name in self.given:
                value = torch.full(shape, self.given[name], dtype=self.dtype)
            self.made[name] = value.requires_grad_()
        return self.made[name]


def linear(w: Weights, name: str, x: torch.Tensor, out: int, bias: bool) -> torch.Tensor:
    return F.linear(x, w(f"{name}.weight", out, x.shape[-1]), w(f"{name}.bias", out) if bias else None)


# ── contrast


def batch_norm(x: torch.Tensor) -> torch.Tensor:
    """Over all axes but the last, without affine."""
    return F.batch_norm(x.reshape(-1, x.shape[-1]), None, None, training=True, eps=1e-5).reshape(x.shape)


def inverse_temperature(w: Weights) -> torch.Tensor:
    return w("contrast.logit_scale", 1)[0].exp().clamp(max=100)


def cross_entropies(
    scores: torch.Tensor, text: torch.Tensor, candidates: torch.Tensor, o: dict, hard: list[list[torch.Tensor]] | None = None
) -> dict:
    """Scores [study, report]: cross-entropy of each study over its candidate reports, and of each report over its candidate studies.
    hard: of each study the scores of false reports that it may not take for its own."""
    count = len(scores)
    centred = text.detach() - text.detach().mean(0)
    alike = F.cosine_similarity(centred[:, None], centred[None], dim=-1)
    theta = o.get("agreement", 0.95)
    # no case may hang on rounding
    assert (alike - theta).abs().min() > 1e-3 or theta == 1, alike
    allowed = candidates.bool() & (alike <= theta) if theta < 1 else candidates.bool()
    allowed = allowed | torch.eye(count, dtype=torch.bool)

    def entropy(scores: torch.Tensor, allowed: torch.Tensor, more: list[list[torch.Tensor]] | None = None) -> torch.Tensor:
        rows = []
        for k in range(count):
            at = allowed[k].nonzero()[:, 0].tolist()
            hot = torch.tensor([float(i == k) for i in at], dtype=scores.dtype)
            soft = torch.softmax(alike[k, at] / o.get("softTemperature", 0.1), 0)
            weight = o.get("softTargets", 0)
            logits, target = scores[k, at], (1 - weight) * hot + weight * soft
            if more and more[k]:
                logits = torch.cat([logits, torch.stack(more[k])])
                target = torch.cat([target, torch.zeros(len(more[k]), dtype=target.dtype)])
            rows.append(F.cross_entropy(logits[None], target[None]))
        return torch.stack(rows).mean()

    best = scores.masked_fill(~allowed, -torch.inf).argmax(1)
    return {
        "loss": (entropy(scores, allowed, hard) + entropy(scores.T, allowed.T)) / 2,
        "accuracy": (best == torch.arange(count)).double().mean(),
        "allowed": allowed,
    }


def sentence_contrast(
    w: Weights,
    V: torch.Tensor,
    reports: list[torch.Tensor],
    candidates: torch.Tensor,
    o: dict,
    false: list[list[torch.Tensor]] | None = None,
    Vb: torch.Tensor | None = None,
) -> dict:
    """V [study, token, c]; of each report its sentences [s_i, c']. false: of each study its false reports, each its sentences. Vb: another
    view of each study."""
    c = V.shape[-1]
    of = torch.tensor([i for i, r in enumerate(reports) for _ in r])
    E = torch.cat(reports)
    raw = linear(w, "contrast.query", E, c, bias=False)

    def as_in(x: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        """Normalised by the statistics of the batch's true reports."""
        flat = batch.reshape(-1, c)
        return (x - flat.mean(0)) / (flat.var(0, unbiased=False) + 1e-5).sqrt()

    as_asked = (lambda x: as_in(x, raw)) if o.get("normalizeQueries", False) else (lambda x: x)
    asked = as_asked(raw)
    known = V
    if o.get("placeKeys", False):
        place = w("contrast.place", o["tiles"], c)
        known = V + place.repeat_interleave(V.shape[1] // o["tiles"], 0)
    keys = linear(w, "contrast.key", known, c, bias=False)
    found = torch.stack([torch.softmax(asked @ k.T / c**0.5, -1) @ v for k, v in zip(keys, V)])  # [study, sentence, c]
    by_studies = o.get("normalize", "batch") == "studies"
    # over the studies that the same sentence asks, or over all
    norm = (lambda x: torch.stack([batch_norm(y) for y in x.unbind(1)], 1)) if by_studies else batch_norm
    said = linear(w, "contrast.embed", E, c, bias=False)
    p = F.normalize(norm(found), dim=-1)
    e = F.normalize(batch_norm(said), dim=-1)
    each = (p * e).sum(-1)
    mean = torch.stack([each[:, of == i].mean(1) for i in range(len(reports))], 1)
    sharp = o.get("kappa", 3) * inverse_temperature(w)
    scores = sharp * mean
    hard, more = None, {}
    if false is not None:
        hard, right = [], []
        for j, own in enumerate(false):
            hard.append([])
            for report in own:
                ask = as_asked(linear(w, "contrast.query", report, c, bias=False))
                seen = torch.stack([torch.softmax(ask @ k.T / c**0.5, -1) @ v for k, v in zip(keys, V)])
                answer = F.normalize(norm(seen) if by_studies else as_in(seen, found), dim=-1)
                sentence = F.normalize(as_in(linear(w, "contrast.embed", report, c, bias=False), said), dim=-1)
                at = sharp * (answer * sentence).sum(-1).mean(1)  # [study]
                # how much better it fits this study than it fits all, on the level of the true report
                hard[j].append(at[j] - at.mean() + scores[:, j].mean())
                right.append(bool(hard[j][-1] < scores[j, j]))
        more = {
            "counters": torch.tensor(len(right), dtype=torch.float64),
            "counter_accuracy": torch.tensor(sum(right) / max(1, len(right)), dtype=torch.float64),
        }
    out = cross_entropies(scores, torch.stack([r.mean(0) for r in reports]), candidates, o, hard)
    allowed = out.pop("allowed")
    out.update(more)
    if Vb is not None:
        # sentences are constants; each study asked with report i answers in both views; study i of one finds study i of the other
        views = []
        for view in (V, Vb):
            known = view
            if o.get("placeKeys", False):
                known = view + w("contrast.place", o["tiles"], c).repeat_interleave(view.shape[1] // o["tiles"], 0)
            ask = linear(w, "contrast.query", E.detach(), c, bias=False)
            if o.get("normalizeQueries", False):
                ask = as_in(ask, ask)
            k = linear(w, "contrast.key", known, c, bias=False)
            seen = torch.stack([torch.softmax(ask @ k.T / c**0.5, -1) @ v for k, v in zip(k, view)])
            views.append(torch.stack([seen[:, of == i].mean(1) for i in range(len(reports))], 1))  # [study, report, c]
        both = torch.stack(views)
        if by_studies:
            both = torch.stack([batch_norm(both[:, :, i]) for i in range(len(reports))], 2)
        else:
            both = batch_norm(both)
        a, b = F.normalize(both, dim=-1)
        losses = []
        for one, other in ((a, b), (b, a)):
            for i in range(len(V)):
                at = allowed[:, i].nonzero()[:, 0].tolist()
                logits = inverse_temperature(w) * torch.stack([one[i, i] @ other[j, i] for j in at])
                losses.append(F.cross_entropy(logits[None], torch.tensor([at.index(i)])))
        out["view"] = torch.stack(losses).mean()
    if o.get("lambdaSentence", 0) > 0:
        # each sentence by itself: its study among those that are candidates of its report
        alone = []
        for s, i in enumerate(of.tolist()):
            at = [j for j in range(len(V)) if j == i or candidates[j, i]]
            alone.append(F.cross_entropy((inverse_temperature(w) * each[at, s])[None], torch.tensor([at.index(i)])))
        out["loss"] = out["loss"] + o["lambdaSentence"] * torch.stack(alone).mean()
    return out


def pooled_contrast(w: Weights, image: torch.Tensor, text: torch.Tensor, candidates: torch.Tensor, o: dict) -> dict:
    c = image.shape[-1]
    x = F.normalize(batch_norm(linear(w, "contrast.image", image, c, bias=False)), dim=-1)
    y = F.normalize(batch_norm(linear(w, "contrast.embed", text, c, bias=False)), dim=-1)
    out = cross_entropies(inverse_temperature(w) * x @ y.T, text, candidates, o)
    del out["allowed"]
    return out


def view_contrast(w: Weights, views: torch.Tensor) -> dict:
    """NT-Xent (SimCLR): views [b 2 c]."""
    b, _, c = views.shape
    z = F.normalize(batch_norm(linear(w, "contrast.view", torch.cat([views[:, 0], views[:, 1]]), c, bias=False)), dim=-1)
    scores = (inverse_temperature(w) * z @ z.T).masked_fill(torch.eye(2 * b, dtype=torch.bool), -torch.inf)
    partner = torch.arange(2 * b).roll(b)
    return {"loss": F.cross_entropy(scores, partner), "accuracy": (scores.argmax(1) == partner).double().mean()}


# ── the U-Net and restoration; volumes are [b c d h w]


# the side of the shortcut's kernel where a residual block halves
SHORTCUT = 3


def convolution(w: Weights, name: str, x: torch.Tensor, out: int, kernel: int = 3, stride: int = 1) -> torch.Tensor:
    y = F.conv3d(x, w(f"{name}.weight", out, x.shape[1], kernel, kernel, kernel), stride=stride, padding=kernel // 2)
    return F.instance_norm(y)


def residual(w: Weights, name: str, x: torch.Tensor, out: int, stride: int) -> torch.Tensor:
    y = F.leaky_relu(convolution(w, f"{name}.conv1", x, out, stride=stride), 0.01)
    y = convolution(w, f"{name}.conv2", y, out)
    same = stride == 1 and x.shape[1] == out
    return F.leaky_relu(y + (x if same else convolution(w, f"{name}.conv3", x, out, 1 if stride == 1 else SHORTCUT, stride)), 0.01)


def encode(w: Weights, volume: torch.Tensor, channels: list[int]) -> list[torch.Tensor]:
    maps = []
    for i, width in enumerate(channels):
        maps.append(residual(w, f"encoder.{i}", maps[-1] if maps else volume, width, 2))
    return maps


def decode(w: Weights, maps: list[torch.Tensor], like: torch.Tensor, channels: list[int]) -> torch.Tensor:
    def up(name: str, x: torch.Tensor, out: int, to: torch.Tensor) -> torch.Tensor:
        y = F.conv_transpose3d(x, w(f"{name}.weight", x.shape[1], out, 2, 2, 2), w(f"{name}.bias", out), stride=2)
        return y[:, :, : to.shape[2], : to.shape[3], : to.shape[4]]

    y = maps[-1]
    for i in reversed(range(len(channels) - 1)):
        joined = torch.cat([up(f"decoder.{i}.up", y, channels[i], maps[i]), maps[i]], 1)
        y = residual(w, f"decoder.{i}", joined, channels[i], 1)
    return F.leaky_relu(up("decoder.full.up", y, channels[0], like), 0.01)


def tokens_of(h: torch.Tensor) -> torch.Tensor:
    """[b c d h w] -> [b n c]"""
    return h.flatten(2).transpose(1, 2)


def gate(w: Weights, h: torch.Tensor, text: torch.Tensor, mask: torch.Tensor, heads: int) -> torch.Tensor:
    """h + tanh(γ)·MHA(LN h, text); text [b t c'], mask [b t]."""
    c = h.shape[1]
    queries = F.layer_norm(tokens_of(h), (c,))
    name = "restore.attn"
    seen, _ = F.multi_head_attention_forward(
        *(x.transpose(0, 1) for x in (queries, text, text)),
        embed_dim_to_check=c,
        num_heads=heads,
        in_proj_weight=None,
        in_proj_bias=torch.cat([w(f"{name}.{x}.bias", c) for x in "qkv"]),
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=w(f"{name}.out.weight", c, c),
        out_proj_bias=w(f"{name}.out.bias", c),
        training=False,
        key_padding_mask=mask == 0,
        need_weights=False,
        use_separate_proj_weight=True,
        q_proj_weight=w(f"{name}.q.weight", c, c),
        k_proj_weight=w(f"{name}.k.weight", c, text.shape[-1]),
        v_proj_weight=w(f"{name}.v.weight", c, text.shape[-1]),
    )
    return h + w("restore.gamma", c).tanh()[None, :, None, None, None] * seen.permute(1, 2, 0).reshape(h.shape)


def null_where(w: Weights, text: torch.Tensor, mask: torch.Tensor, drop: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    """A dropped report is one token, the null token, and padding."""
    null = w("restore.null", text.shape[-1])
    one = torch.zeros_like(mask[0])
    one[0] = 1
    features = [torch.where(one[:, None] == 1, null, torch.zeros_like(x)) if d else x for x, d in zip(text, drop)]
    return torch.stack(features), torch.stack([one if d else m for m, d in zip(mask, drop)])


def restoration(w: Weights, corrupt, clean, mask, text, o: dict) -> torch.Tensor:
    """corrupt and clean [m c d h w], mask [m d h w]; text: None, or token features [m t c'] and mask [m t]."""
    channels = o["channels"]
    maps = encode(w, corrupt, channels)
    if text is not None:
        maps[-1] = gate(w, maps[-1], *text, heads=o["restoreHeads"])
    image = F.conv3d(
        decode(w, maps, corrupt, channels),
        w("restore.out.conv.conv.weight", corrupt.shape[1], channels[0], 1, 1, 1),
        w("restore.out.conv.conv.bias", corrupt.shape[1]),
    )
    c = channels[-1]
    with torch.no_grad():
        goal = F.layer_norm(tokens_of(encode(w, clean, channels)[-1]), (c,))
    cosine = F.cosine_similarity(linear(w, "restore.feature", tokens_of(maps[-1]), c, bias=False), goal, dim=-1)
    total = 0
    for x, y, m, cos in zip(image, clean, mask.bool(), cosine):
        off = (x - y).abs()
        total = total + off[:, m].mean() + o.get("rest", 0.1) * off[:, ~m].mean() + o.get("feature", 0.5) * (1 - cos).mean()
    return total / len(image)


def findings(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    known = target >= 0
    return F.binary_cross_entropy_with_logits(logits[known], target[known])


# ── goldens of single losses

ALL4 = [[1] * 4] * 4
SOME4 = [[1, 0, 1, 1], [1, 1, 1, 0], [0, 1, 0, 1], [1, 1, 1, 1]]  # a study's own report is a candidate even where 0 is said
COUNTS = [3, 1, 2, 3]  # sentences of each report
FALSE = [[3, 3], [1, 0], [0, 0], [3, 2]]  # sentences of false reports of each study; 0: none
VE = {"V": (4, 6, 8), "E": (4, 3, 5)}
IMAGE = (2, 2, 6, 5, 7)
CORRUPT = {"corrupt": IMAGE, "clean": IMAGE}
REPORT = {"features": (2, 5, 6)}


def ragged(x: dict, o: dict) -> list[torch.Tensor]:
    return [e[:n] for e, n in zip(x["E"], o["counts"])]


def sentences(w, x, o):
    return sentence_contrast(w, x["V"], ragged(x, o), torch.tensor(o["candidates"]), o)


def with_options(w, x, o):
    """Other views and false reports beside; the loss is the contrast's and 0.5 of the view's."""
    false = None
    if "false" in o:
        # [study][false report] sentences; 0: there is none
        false = [[e[:n] for e, n in zip(own, counts) if n > 0] for own, counts in zip(x["F"], o["false"])]
    out = sentence_contrast(w, x["V"], ragged(x, o), torch.tensor(o["candidates"]), o, false, x.get("Vb"))
    if "view" in out:
        out["loss"] = out["loss"] + 0.5 * out["view"]
    return out


def from_tokens(w, x, o):
    ids = torch.tensor(o["sentence"])
    reports = [torch.stack([t[of == s].mean(0) for s in sorted(set(of.tolist()) - {0})]) for t, of in zip(x["tokens"], ids)]
    return sentence_contrast(w, x["V"], reports, torch.tensor(o["candidates"]), o)


def pooled(w, x, o):
    return pooled_contrast(w, x["image"], x["text"], torch.tensor(o["candidates"]), o)


def restored(w, x, o):
    mask = torch.from_numpy((classes(SEED, "restoration.mask", (2, *IMAGE[2:]), 3) == 0).astype(np.int64))
    text = None
    if "features" in x:
        text = x["features"], torch.tensor(o["keep"])
        if "drop" in o:
            text = null_where(w, *text, o["drop"])
    return {"loss": restoration(w, x["corrupt"], x["clean"], mask, text, o)}


def sections(w, x, o):
    """Impressions E and findings U: every sentence of an impression looks for the findings' sentences that are like it."""
    found, said = [[t[:n] for t, n in zip(x[k], o[c])] for k, c in (("U", "found"), ("E", "counts"))]
    unit = lambda parts: F.normalize(batch_norm(torch.cat(parts)), dim=-1).split([len(p) for p in parts])  # noqa: E731
    f, e = unit(found), unit(said)
    sharp = w("sections.logit_scale", 1)[0].exp().clamp(max=100)
    rows = []
    for theirs in f:
        row = []
        for own in e:
            alike = own @ theirs.T
            row.append((torch.softmax(sharp * alike, -1) * alike).sum(-1).mean())
        rows.append(torch.stack(row))
    scores = sharp * torch.stack(rows)  # [findings, impression]
    out = cross_entropies(scores, torch.stack([r.mean(0) for r in said]), torch.tensor(o["candidates"]), {"agreement": 1})
    out.pop("allowed")
    return out


UNET = {"channels": [4, 16], "restoreHeads": 8}
KEEP = {"keep": [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]}
# name -> what, inputs, options (settings in the product's names, integers), given parameters
CASES = {
    "sentences": (sentences, VE, {"candidates": ALL4, "counts": COUNTS, "agreement": 1}, {}),
    "sentences.masked": (sentences, VE, {"candidates": SOME4, "counts": COUNTS, "agreement": 1, "kappa": 2}, {}),
    "sentences.agreement": (sentences, VE, {"candidates": SOME4, "counts": COUNTS, "agreement": -0.3}, {}),
    "sentences.soft": (
        sentences,
        VE,
        {"candidates": SOME4, "counts": COUNTS, "agreement": 0.95, "softTargets": 0.3, "softTemperature": 0.2},
        {},
    ),
    "sentences.place": (
        sentences,
        VE,
        {"candidates": ALL4, "counts": COUNTS, "agreement": 1, "placeKeys": True, "tiles": 3},
        {"contrast.logit_scale": 1.5},
    ),
    "sentences.each": (
        sentences,
        VE,
        {"candidates": SOME4, "counts": COUNTS, "agreement": 1, "lambdaSentence": 0.7},
        {"contrast.logit_scale": 1.5},
    ),
    "sentences.sharp": (sentences, VE, {"candidates": ALL4, "counts": COUNTS, "agreement": 1}, {"contrast.logit_scale": 1.5}),
    "sentences.capped": (sentences, VE, {"candidates": ALL4, "counts": COUNTS, "agreement": 1}, {"contrast.logit_scale": 5.0}),
    "options.view": (
        with_options,
        {**VE, "Vb": (4, 6, 8)},
        {"candidates": SOME4, "counts": COUNTS, "agreement": 1, "placeKeys": True, "tiles": 3},
        {"contrast.logit_scale": 1.5},
    ),
    "options.view.studies": (
        with_options,
        {**VE, "Vb": (4, 6, 8)},
        {"candidates": SOME4, "counts": COUNTS, "agreement": -0.3, "normalize": "studies"},
        {},
    ),
    "options.false": (
        with_options,
        {**VE, "F": (4, 2, 3, 5)},
        {"candidates": SOME4, "counts": COUNTS, "agreement": 1, "false": FALSE},
        {"contrast.logit_scale": 1.5},
    ),
    "options.false.studies": (
        with_options,
        {**VE, "F": (4, 1, 3, 5)},
        {
            "candidates": ALL4,
            "counts": COUNTS,
            "agreement": -0.3,
            "normalize": "studies",
            "softTargets": 0.2,
            "false": [[3], [1], [0], [3]],
        },
        {},
    ),
    "sentences.queries": (
        sentences,
        VE,
        {"candidates": SOME4, "counts": COUNTS, "agreement": 1, "normalizeQueries": True, "normalize": "studies", "kappa": 1},
        {"contrast.logit_scale": 1.5},
    ),
    "options.queries": (
        with_options,
        {**VE, "Vb": (4, 6, 8), "F": (4, 2, 3, 5)},
        {"candidates": SOME4, "counts": COUNTS, "agreement": 1, "normalizeQueries": True, "false": FALSE},
        {"contrast.logit_scale": 1.5},
    ),
    "sections": (
        sections,
        {"U": (4, 3, 5), "E": (4, 3, 5)},
        {"candidates": SOME4, "found": [3, 2, 3, 1], "counts": COUNTS},
        {"sections.logit_scale": 1.5},
    ),
    "tokens": (
        from_tokens,
        {"V": (4, 6, 8), "tokens": (4, 9, 5)},
        {
            "candidates": ALL4,
            "agreement": 0.95,
            "sentence": [
                [0, 1, 1, 1, 2, 2, 3, 3, 0],
                [0, 1, 1, 2, 2, 0, 0, 0, 0],
                [0, 1, 0, 0, 0, 0, 0, 0, 0],
                [1, 2, 2, 2, 2, 2, 2, 3, 3],
            ],
        },
        {},
    ),
    "pooled": (pooled, {"image": (4, 8), "text": (4, 5)}, {"candidates": ALL4, "agreement": 1}, {}),
    "pooled.agreement": (pooled, {"image": (4, 8), "text": (4, 5)}, {"candidates": SOME4, "agreement": -0.3}, {}),
    "views": (lambda w, x, o: view_contrast(w, x["views"]), {"views": (5, 2, 6)}, {}, {"contrast.logit_scale": 1.5}),
    "restoration": (restored, {**CORRUPT, **REPORT}, {**UNET, **KEEP}, {}),
    "restoration.null": (restored, {**CORRUPT, **REPORT}, {**UNET, **KEEP, "drop": [1, 0], "rest": 0.3, "feature": 2}, {}),
    "restoration.blind": (restored, CORRUPT, UNET, {}),
    "findings": (
        lambda w, x, o: {"loss": findings(x["logits"], torch.tensor(o["target"], dtype=torch.float64))},
        {"logits": (4, 3)},
        {"target": [[1, 0, -1], [0, 0, 1], [-1, -1, -1], [1, -1, 0]]},
        {},
    ),
}


def digits(x: torch.Tensor) -> float:
    """More than golden.number keeps: a loss is held to 1e-9."""
    return golden.number(x.detach(), 14)


def loss_case(name: str) -> dict:
    run, shapes, options, given = CASES[name]
    scale = {"logits": 6.0}
    inputs = {
        k: torch.from_numpy(uniform(SEED, f"{name.split('.')[0]}.{k}", s, scale.get(k, 1.0))).double() for k, s in shapes.items()
    }
    for k, x in inputs.items():
        x.requires_grad_(k != "clean")
    w = Weights(torch.float64, given)
    out = run(w, inputs, options)
    out["loss"].backward()
    found = {**inputs, **w.made}
    return {
        "inputs": {k: list(s) for k, s in shapes.items()},
        "options": options,
        "parameters": given,
        "values": {k: digits(v) for k, v in out.items()},
        "gradients": {
            k: golden.summary(torch.zeros_like(x) if x.grad is None else x.grad) for k, x in found.items() if x.requires_grad
        },
    }


# ── goldens of the network

BERT = dict(
    vocab_size=29,
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=12,
    type_vocab_size=2,
)
BATCH, TOKENS, SIZE = 3, 9, 12
CHANNELS = [4, 8]
SENTENCES = [[0, 1, 1, 1, 2, 2, 3, 3, 0], [0, 1, 1, 2, 2, 0, 0, 0, 0], [0, 1, 1, 1, 0, 0, 0, 0, 0]]
LENGTHS = [9, 6, 5]
PAIRS = [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
ROTATION = [[0, 3], [2, 1], [1, 1]]
# settings of `pretrain` in the product's names, with tiles and restored tiles as the sizes of its inputs
METHODS = {
    "t3d": dict(method="t3d", tiles=2, restored=2, textDropout=0.0),
    # every sentence is read alone, keys know their tile
    "t3d-sentence": dict(method="t3d", tiles=2, restored=1, textDropout=0.0, placeKeys=True),
    # another view, false reports, and what a sentence looks at corrupted
    "t3d-options": dict(
        method="t3d", tiles=2, restored=2, textDropout=0.0, lambdaView=0.4, counterfactuals=2, mask="attended", placeKeys=True
    ),
    "t3d-null": dict(method="t3d", tiles=2, restored=2, textDropout=1.0, lambdaTcl=0.7, lambdaTir=2.0),
    "fullclip": dict(method="fullclip", tiles=2, restored=1, textDropout=0.0),
    "clipcrop": dict(method="clipcrop", tiles=1, restored=1, lambdaTir=0),
    "contrast": dict(method="contrast", tiles=2, restored=1, restoreText=False),
    "swinssl": dict(method="swinssl", tiles=2, restored=1, restoreText=False, lambdaRotation=0.6),
    "restore": dict(method="restore", tiles=1, restored=2, restoreText=False),
}
HEADS = 2


SCOPE = {"t3d-sentence": "sentence"}


def alone(bert: BertModel, ids: torch.Tensor, mask: torch.Tensor, sentence: torch.Tensor) -> torch.Tensor:
    """[t] each -> token features [t c]: each sentence, and the special tokens, by themselves; zeros for padding."""
    out = torch.zeros(len(ids), BERT["hidden_size"], dtype=bert.dtype)
    for s in sorted(set(sentence.tolist())):
        at = ((sentence == s) & (mask == 1)).nonzero()[:, 0]
        out = out.index_copy(0, at, bert(input_ids=ids[None, at]).last_hidden_state[0])
    return out


COUNTER_SENTENCES = [
    [[0, 1, 1, 1, 2, 2, 3, 3, 0], [0, 1, 1, 2, 2, 3, 0, 0, 0]],
    [[0, 1, 1, 2, 2, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0]],
    [[0, 0, 0, 0, 0, 0, 0, 0, 0], [0, 1, 1, 1, 1, 0, 0, 0, 0]],
]
COUNTER_LENGTHS = [[9, 7], [6, 0], [0, 6]]
# of each study's restored tiles: which tile, and which sentence asks
RESTORED_TILE = [[0, 1], [1, 1], [0, 0]]
ASKED_SENTENCE = [[0, 2], [1, 0], [0, 0]]


def attended(w: Weights, V: torch.Tensor, reports: list[torch.Tensor], o: dict) -> torch.Tensor:
    """V [b k n c] -> [b r d h w], True at the 30 % of a tile's tokens that its sentence looks at most."""
    b, k, n, c = V.shape
    side = round(n ** (1 / 3))
    masks = []
    for i in range(b):
        tiles = V[i]
        if o.get("placeKeys", False):
            tiles = tiles + w("contrast.place", k, c)[:, None]
        keys = linear(w, "contrast.key", tiles.reshape(k * n, c), c, bias=False)
        for tile, sentence in zip(RESTORED_TILE[i], ASKED_SENTENCE[i]):
            query = linear(w, "contrast.query", reports[i][sentence], c, bias=False)
            weights = torch.softmax(keys @ query / c**0.5, 0).reshape(k, n)[tile].detach()
            count = round(0.3 * n)
            order = weights.sort(descending=True).values
            # no case may hang on rounding
            assert (order[count - 1] - order[count]) / order[count] > 1e-4
            grid = (weights >= order[count - 1]).reshape(side, side, side)
            masks.append(grid.repeat_interleave(SIZE // side, 0).repeat_interleave(SIZE // side, 1).repeat_interleave(SIZE // side, 2))
    return torch.stack(masks).reshape(b, -1, SIZE, SIZE, SIZE)


def network(name: str, dtype: torch.dtype) -> tuple[dict, dict]:
    """-> losses, gradients by name, the norm of the contrast's gradient by the tokens of the images"""
    o = METHODS[name]
    w = Weights(dtype)
    draw = lambda name, *shape: torch.from_numpy(uniform(SEED, name, shape, 0.5, 0.5)).to(dtype)
    size = (SIZE, SIZE, SIZE)
    method, k, r = o["method"], o["tiles"], o["restored"]
    informed = o.get("restoreText", True) and o.get("lambdaTir", 1) > 0
    mask = torch.tensor([[int(i < n) for i in range(TOKENS)] for n in LENGTHS])
    bert, text = None, None
    if informed or method in ("t3d", "fullclip", "clipcrop"):
        bert = BertModel(BertConfig(**BERT, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0), add_pooling_layer=False)
        bert = bert.to(dtype)
        named = dict(bert.named_parameters())
        values = {n: torch.from_numpy(parameter_value(f"text.{n}", tuple(p.shape), SEED)).to(dtype) for n, p in named.items()}
        bert.load_state_dict(values, strict=False)
        ids = torch.from_numpy(classes(SEED, "input_ids", (BATCH, TOKENS), BERT["vocab_size"] - 2) + 2)
        if SCOPE.get(name) == "sentence":
            text = torch.stack([alone(bert, *row) for row in zip(ids, mask, torch.tensor(SENTENCES))])
        else:
            text = bert(input_ids=torch.where(mask == 1, ids, 0), attention_mask=mask).last_hidden_state

    out, slope = {}, None
    if method != "restore":
        tiles = draw("tiles", BATCH, k, 1, *size)
        maps = encode(w, tiles.flatten(0, 1), CHANNELS)
        V = F.layer_norm(tokens_of(maps[-1]), (CHANNELS[-1],)).reshape(BATCH, k, -1, CHANNELS[-1])
        if method == "t3d":
            reports = []
            for t, of in zip(text, torch.tensor(SENTENCES)):
                reports.append(torch.stack([t[of == s].mean(0) for s in range(1, int(of.max()) + 1)]))
            false, Vb = None, None
            if o.get("counterfactuals", 0) > 0:
                shape = (BATCH, o["counterfactuals"], TOKENS)
                counter = torch.from_numpy(classes(SEED, "counter_ids", shape, BERT["vocab_size"] - 2) + 2)
                false = []
                for rows, sentence_rows, sizes in zip(counter, COUNTER_SENTENCES, COUNTER_LENGTHS):
                    false.append([])
                    for row, sentence, length in zip(rows, torch.tensor(sentence_rows), sizes):
                        if length == 0:
                            continue
                        real = bert(input_ids=row[None, :length]).last_hidden_state[0]
                        at = sentence[:length]
                        false[-1].append(torch.stack([real[at == s].mean(0) for s in range(1, int(at.max()) + 1)]))
            if o.get("lambdaView", 0) > 0:
                other = encode(w, draw("tiles_b", BATCH, k, 1, *size).flatten(0, 1), CHANNELS)
                Vb = F.layer_norm(tokens_of(other[-1]), (CHANNELS[-1],)).reshape(BATCH, -1, CHANNELS[-1])
            found = sentence_contrast(w, V.flatten(1, 2), reports, torch.tensor(PAIRS), o, false, Vb)
            if o.get("mask") == "attended":
                looked = attended(w, V, reports, o)
        elif method in ("fullclip", "clipcrop"):
            mean = torch.stack([t[m == 1].mean(0) for t, m in zip(text, mask)])
            found = pooled_contrast(w, V.mean((1, 2)), mean, torch.tensor(PAIRS), o)
        else:
            found = view_contrast(w, V.mean(2))
        out["tcl"], out["accuracy"] = found["loss"], found["accuracy"]
        out.update({n: found[n] for n in ("view", "counters", "counter_accuracy") if n in found})
        slope = torch.autograd.grad(found["loss"], V, retain_graph=True)[0].norm()
        if method == "swinssl":
            logits = linear(w, "rotation", V.mean(2), 4, bias=True)
            out["rotation"] = F.cross_entropy(logits.flatten(0, 1), torch.tensor(ROTATION).flatten())
    if o.get("lambdaTir", 1) > 0:
        clean = draw("tiles_clean", BATCH, r, 1, *size)
        where = torch.from_numpy((classes(SEED, "corrupt_mask", (BATCH, r, *size), 3) == 0).astype(np.int64))
        if o.get("mask") == "attended":
            where = looked.long()
        corrupt = torch.where(where[:, :, None] == 1, draw("noise", BATCH, r, 1, *size), clean)
        given = None
        if informed:
            given = text, mask
            if o["textDropout"] == 1:
                given = null_where(w, text, mask, [1] * BATCH)
            given = tuple(x.repeat_interleave(r, 0) for x in given)
        flat = lambda x: x.flatten(0, 1)
        out["tir"] = restoration(w, flat(corrupt), flat(clean), flat(where), given, {"channels": CHANNELS, "restoreHeads": HEADS})
    weights = {"tcl": "lambdaTcl", "tir": "lambdaTir", "rotation": "lambdaRotation", "view": "lambdaView"}
    out["loss"] = sum(o.get(weights[n], 1) * v for n, v in out.items() if n in weights)
    out["loss"].backward()
    grads = {n: p.grad for n, p in w.made.items()}
    if bert is not None:
        grads.update({f"text.{n}": p.grad for n, p in bert.named_parameters()})
    none = [n for n, g in grads.items() if g is None]
    assert not none, none
    return {n: v for n, v in out.items() if n != "rotation"}, grads, slope


def network_case(name: str) -> dict:
    (out, double, slope), (_, single, _) = network(name, torch.float64), network(name, torch.float32)
    names = sorted(double)
    joined = {"all": [torch.cat([g[n].flatten() for n in names]) for g in (double, single)]}
    each = {n: [double[n], single[n]] for n in names} if name == "t3d" else {}
    return {
        "settings": METHODS[name],
        "textScope": SCOPE.get(name, "report"),
        "values": {k: digits(v) for k, v in out.items()},
        "slope": None if slope is None else digits(slope),
        "names": names,
        "gradientNorm": golden.number(torch.cat([g.flatten() for g in double.values()]).norm()),
        "gradients": {n: golden.summary(g, None, f) for n, (g, f) in {**joined, **each}.items()},
    }


def main() -> None:
    golden.write("pretrain/losses.json", {"seed": SEED, "cases": {name: loss_case(name) for name in CASES}})
    config = {**BERT, "batch": BATCH, "tokens": TOKENS, "size": SIZE, "channels": CHANNELS, "restoreHeads": HEADS}
    integers = {"lengths": LENGTHS, "sentence_ids": SENTENCES, "pair_mask": PAIRS, "rotation": ROTATION}
    integers.update(counter_lengths=COUNTER_LENGTHS, counter_sentence_ids=COUNTER_SENTENCES)
    integers.update(restored_tile=RESTORED_TILE, asked_sentence=ASKED_SENTENCE)
    document = {"seed": SEED, "config": config, "integers": integers, "cases": {name: network_case(name) for name in METHODS}}
    golden.write("pretrain/network.json", document)


if __name__ == "__main__":
    main()
