"""What others' weights look like on disk: golden/published.

    python test/reference/published.py

monai-swinunetr.json: names, types and shapes of MONAI's SwinUNETR (feature size 12) as its state_dict has them, and of a file of
self-supervised pre-training as its load_from reads one. bert/: a folder as transformers saves it, of a very small BERT with a
tokenizer, and expected.json, what transformers makes of some sentences with it, in float64.
"""

import json
import shutil
from pathlib import Path

import torch
from monai.networks.nets import SwinUNETR
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from golden import GOLDEN, number
from model import parameter_value

OUT = GOLDEN / "published"
SEED = 4


class Asked(dict):
    """A state dict that remembers what was read of it."""

    def __init__(self, tensors):
        super().__init__(tensors)
        self.asked = set()

    def __getitem__(self, key):
        self.asked.add(key)
        return super().__getitem__(key)


def described(tensors: dict[str, torch.Tensor]) -> dict[str, list]:
    return {k: [str(v.dtype).removeprefix("torch."), *v.shape] for k, v in tensors.items()}


def swinunetr() -> None:
    model = SwinUNETR(in_channels=1, out_channels=14, feature_size=12)
    state = model.state_dict()
    prefix = "swinViT."
    encoder = {
        "module." + k.removeprefix(prefix).replace("mlp.linear", "mlp.fc"): v for k, v in state.items() if k.startswith(prefix)
    }
    asked = Asked(encoder)
    model.load_from({"state_dict": asked})
    read = {k: v for k, v in encoder.items() if k in asked.asked}
    assert len(read) == len(encoder), set(encoder) - set(read)
    lines = [f'"{name}":{{\n' + ",\n".join(f"{json.dumps(k)}:{json.dumps(v)}" for k, v in tensors.items()) + "\n}"
             for name, tensors in (("state_dict", described(state)), ("load_from", described(read)))]
    (OUT / "monai-swinunetr.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


WORDS = ("a the is no in of and mm cyst lesion mass liver spleen kidney left right lung normal small large simple with there "
         "measuring nodule . , ##s ##al 1 2 3 ##0 ##1 ##2").split()
TEXTS = ("There is a simple cyst in the left kidney measuring 12 mm.", "No lesions of the liver.", "Normal.")
TOKENS = 16


def bert() -> None:
    folder = OUT / "bert"
    shutil.rmtree(folder, ignore_errors=True)
    vocabulary = {w: n for n, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    words = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    words.normalizer = normalizers.BertNormalizer(lowercase=True)
    words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    words.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    words.decoder = decoders.WordPiece()
    special = dict(unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=32, **special)
    config = BertConfig(vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                        intermediate_size=32, max_position_embeddings=32, hidden_dropout_prob=0.0,
                        attention_probs_dropout_prob=0.0)
    model = BertModel(config).eval()
    state = {k: torch.from_numpy(parameter_value(f"text.{k}", tuple(v.shape), SEED)) for k, v in model.named_parameters()}
    model.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "vocab.txt").write_text("".join(f"{w}\n" for w in vocabulary))
    rows = tokenizer(list(TEXTS), padding="max_length", max_length=TOKENS, return_tensors="pt")
    mask = rows["attention_mask"]
    with torch.no_grad():
        hidden = model.double()(input_ids=rows["input_ids"], attention_mask=mask).last_hidden_state
    m = mask[:, :, None].double()
    pooled = (hidden * m).sum(1) / m.sum(1)
    flat = lambda t: [number(v) for v in (t * 1.0).reshape(-1).tolist()]
    expected = {
        "texts": list(TEXTS),
        "input_ids": rows["input_ids"].tolist(),
        "attention_mask": mask.tolist(),
        "last_hidden_state": flat(hidden * m),
        "pooled": flat(pooled),
    }
    lines = [f"{json.dumps(k)}:{json.dumps(v)}" for k, v in expected.items()]
    (folder / "expected.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    swinunetr()
    bert()
    print(*sorted(f"{p.relative_to(GOLDEN)}: {p.stat().st_size} bytes" for p in Path(OUT).rglob("*") if p.is_file()), sep="\n")
