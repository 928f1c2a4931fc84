"""Goldens of the text tower: Hugging Face's BertModel and RobertaModel with counter weights, in float64.

    python test/reference/text.py                   # the goldens of the tests
    python test/reference/text.py --tokens-of FOLDER    # what tokenizers make of a vocabulary by `t3dc data vocabulary`
    python test/reference/text.py --export FOLDER OUT [--tokens T]    # with real weights: inputs and transformers' results
    python test/reference/text.py --compare OUT RESULT.safetensors    # … against what `t3dc run A encodeText` wrote

--export reads a folder with config.json and model.safetensors, writes OUT/inputs.safetensors (input_ids, attention_mask i32 [b t])
and OUT/expected.safetensors (last_hidden_state [b t c], pooled [b c]: the mean over tokens that are no padding). The exit status
of --compare is 1 where a tensor's relative L2 error, padding left out, is over 1e-4.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

from counters import classes, uniform
from golden import number, summary, write
from model import parameter_value

SEED = 1
BATCH, TOKENS = 3, 21
LENGTHS = (21, 13, 1)  # tokens of each sequence that are no padding
SIZES = dict(
    vocab_size=97,
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=80,
    max_position_embeddings=40,
)
NO_DROPOUT = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
MODELS = {
    "bert": (BertModel, BertConfig(**SIZES, **NO_DROPOUT, type_vocab_size=2)),
    "bert-base": (BertModel, BertConfig(**NO_DROPOUT)),
    "roberta": (RobertaModel, RobertaConfig(**SIZES, **NO_DROPOUT, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1)),
}


def masked_mean(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    m = mask[:, :, None].to(hidden.dtype)
    return (hidden * m).sum(1) / m.sum(1).clamp(min=1)


def inputs(vocabulary: int, pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    mask = torch.tensor([[1 if i < n else 0 for i in range(TOKENS)] for n in LENGTHS])
    ids = torch.from_numpy(classes(SEED, "input_ids", (BATCH, TOKENS), vocabulary - 2).astype(np.int64)) + 2
    return torch.where(mask == 1, ids, pad), mask


def run(name: str, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Outputs, and gradients of sum(cotangent · last_hidden_state, padding too) + sum(cotangent · pooled)."""
    kind, config = MODELS[name]
    model = kind(config).to(dtype)
    state = {k: torch.from_numpy(parameter_value(f"text.{k}", tuple(v.shape), SEED)) for k, v in model.named_parameters()}
    model.load_state_dict({k: v.to(dtype) for k, v in state.items()}, strict=False)
    ids, mask = inputs(config.vocab_size, config.pad_token_id)
    out = model(input_ids=ids, attention_mask=mask)
    hidden = out.last_hidden_state
    # BERT's pooler is one layer more than the mean, so that its gradient shows too.
    found = {"last_hidden_state": hidden, "mean": masked_mean(hidden, mask), "pooler": out.pooler_output}
    cotangent = lambda n, t: torch.from_numpy(uniform(SEED, f"cotangent.{n}", tuple(t.shape), 1.0)).to(dtype)
    loss = sum((cotangent(n, found[n]) * found[n]).sum() for n in ("last_hidden_state", "pooler"))
    loss.backward()
    grads = {f"grad.text.{k}": p.grad for k, p in model.named_parameters()}
    return {**{k: v.detach() for k, v in found.items()}, "loss": loss.detach(), **grads}


def goldens() -> None:
    for name, (_, config) in MODELS.items():
        double, single = run(name, torch.float64), run(name, torch.float32)
        gradients = [v for k, v in double.items() if k.startswith("grad.")]
        axes = {"last_hidden_state": "b t c", "mean": "b c", "pooler": "b c"}
        write(
            f"text/{name}.json",
            {
                "config": {k: v for k, v in config.to_dict().items() if k in KEPT},
                "seed": SEED,
                "lengths": list(LENGTHS),
                "tokens": TOKENS,
                "loss": number(double["loss"]),
                "gradientNorm": number(sum(float((g**2).sum()) for g in gradients) ** 0.5),
                "tensors": {k: summary(v, axes.get(k), single[k]) for k, v in double.items() if k != "loss"},
            },
        )


KEPT = ("model_type", *SIZES, "type_vocab_size", "layer_norm_eps", "pad_token_id", "hidden_act")


TEXTS = (
    "Normal.",
    "In the left kidney there is a simple cyst measuring 31 mm.",
    "Kein Herdbefund in der rechten Niere; Größe 2,7 cm (bis 26 mm).",
    "The LIVER is unremarkable!  No free fluid, no mass.",
    "x-ray qqq \u00e9\u00e8 3.5cm/year",
)


def tokens(folder: Path) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    pieces = sorted(vocabulary, key=vocabulary.get)
    ids = [tokenizer.encode(t).ids for t in TEXTS]
    write("text/tokens.json", {"pieces": pieces, "texts": list(TEXTS), "ids": ids})


def export(folder: Path, out: Path, tokens: int) -> None:
    from transformers import AutoModel, AutoTokenizer

    texts = [
        "Hypodense lesion of 14 mm in segment VII of the liver.",
        "No pleural effusion. The kidneys, spleen and pancreas are unremarkable, and there is no lymphadenopathy.",
        "Normal.",
        "A spiculated nodule in the left upper lobe has grown since the previous examination and measures 21 mm.",
    ]
    enc = AutoTokenizer.from_pretrained(folder)(texts, padding="max_length", truncation=True, max_length=tokens, return_tensors="pt")
    model = AutoModel.from_pretrained(folder).double().eval()
    with torch.no_grad():
        hidden = model(input_ids=enc["input_ids"], attention_mask=enc["attention_mask"]).last_hidden_state
    out.mkdir(parents=True, exist_ok=True)
    save_file({k: enc[k].numpy().astype(np.int32) for k in ("input_ids", "attention_mask")}, out / "inputs.safetensors")
    pooled = masked_mean(hidden, enc["attention_mask"])
    save_file({"last_hidden_state": hidden.numpy(), "pooled": pooled.numpy()}, out / "expected.safetensors")
    print(f"{out}: {len(texts)} sentences of at most {tokens} tokens through {folder.name}")


def compare(out: Path, result: Path) -> bool:
    want, got = load_file(out / "expected.safetensors"), load_file(result)
    mask = load_file(out / "inputs.safetensors")["attention_mask"][:, :, None]
    ok = True
    for name, w in want.items():
        keep = mask if w.ndim == 3 else 1
        error = float(np.linalg.norm((got[name] - w) * keep) / np.linalg.norm(w * keep))
        ok = ok and error <= 1e-4
        print(f"{'ok  ' if error <= 1e-4 else 'FAIL'} {name} {list(w.shape)}: relative L2 {error:.2e} (bound 1e-4)")
    return ok


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--export", nargs=2, type=Path, metavar=("FOLDER", "OUT"))
    parser.add_argument("--compare", nargs=2, type=Path, metavar=("OUT", "RESULT"))
    parser.add_argument("--tokens-of", type=Path, metavar="FOLDER")
    parser.add_argument("--tokens", type=int, default=48)
    args = parser.parse_args()
    if args.export:
        export(*args.export, args.tokens)
    elif args.compare:
        sys.exit(0 if compare(*args.compare) else 1)
    elif args.tokens_of:
        tokens(args.tokens_of)
    else:
        goldens()
