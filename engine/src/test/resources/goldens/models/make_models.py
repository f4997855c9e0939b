"""Tiny random models of every architecture and RoPE scaling, with what transformers computes from them in float32.

    pip install torch transformers safetensors && python make_models.py [NAME...]

A model is written as an ordinary Hugging Face directory and read back from it, so that the goldens stand for the files.
"""

import json
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

HERE = Path(__file__).parent
VOCAB = 272
PROMPT = 48
STEPS = 16
ROWS = [0, 7, 30, PROMPT - 1]
SMALLEST_GAP = 0.05

LLAMA = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_act="silu", attention_bias=False, mlp_bias=False)
MISTRAL = dict(architectures=["MistralForCausalLM"], model_type="mistral", hidden_act="silu")
QWEN2 = dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_act="silu")
QWEN3 = dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_act="silu", attention_bias=False, dtype="bfloat16")


def shape(hidden, ffn, heads, kv, dim, tied, theta=10000.0, context=128, layers=2, dtype="bfloat16", **more):
    config = dict(
        vocab_size=VOCAB, hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=kv, head_dim=dim, max_position_embeddings=context, rms_norm_eps=1e-5, rope_theta=theta,
        tie_word_embeddings=tied, bos_token_id=256, eos_token_id=258, torch_dtype=dtype,
    )  # fmt: skip
    return {key: value for key, value in (config | more).items() if value is not None}


MODELS = {
    "llama-tied": LLAMA | shape(64, 128, 2, 2, 64, True),
    "llama-untied": LLAMA | shape(96, 64, 3, 1, 64, False, rms_norm_eps=1e-6),
    "llama-rope-llama3": LLAMA | shape(64, 64, 4, 2, 64, True, theta=500000.0, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "llama-rope-linear": LLAMA | shape(64, 64, 1, 1, 80, True, dtype="float32", rope_scaling=dict(type="linear", factor=4.0)),
    "llama-rope-dynamic": LLAMA | shape(64, 64, 2, 1, 96, True, context=32, dtype="float16", rope_scaling=dict(
        rope_type="dynamic", factor=2.0)),
    "llama-rope-yarn": LLAMA | shape(64, 64, 2, 1, 128, True, rope_scaling=dict(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=32)),
    "mistral": MISTRAL | shape(64, 64, 6, 1, 64, False, sliding_window=16),
    "qwen2": QWEN2 | shape(128, 32, 2, 1, None, True, theta=1000000.0, rms_norm_eps=1e-6, use_sliding_window=True, sliding_window=16,
                           max_window_layers=1),
    # As transformers 5 writes it: dtype and rope_parameters in place of torch_dtype, rope_theta and rope_scaling.
    "qwen3": QWEN3 | shape(64, 64, 8, 1, 64, True, theta=None, torch_dtype=None, rms_norm_eps=1e-6, use_sliding_window=False,
                           sliding_window=None, rope_parameters=dict(rope_type="default", rope_theta=1000000.0)),
}  # fmt: skip


def weights(config, seed):
    """Weights so large that logits, attention and the choice of tokens differ clearly."""
    torch.manual_seed(seed)
    tensors = {}
    for name, value in AutoModelForCausalLM.from_config(config, dtype=torch.float32).state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if name.endswith("norm.weight"):
            value = 1 + 0.3 * torch.randn(value.shape)
        elif name.endswith(".bias"):
            value = 0.5 * torch.randn(value.shape)
        else:
            value = 0.2 * torch.randn(value.shape)
        tensors[name] = value
    return tensors


def write_weights(directory, tensors, dtype, shards):
    tensors = {name: value.to(dtype).contiguous() for name, value in tensors.items()}
    if shards == 1:
        save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
        return
    names, index = list(tensors), {}
    for shard in range(shards):
        part = names[shard * len(names) // shards : (shard + 1) * len(names) // shards]
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        save_file({name: tensors[name] for name in part}, directory / file, metadata={"format": "pt"})
        index |= {name: file for name in part}
    total = sum(value.numel() * value.element_size() for value in tensors.values())
    write_json(directory / "model.safetensors.index.json", dict(metadata=dict(total_size=total), weight_map=index))


def write_json(file, value, **options):
    file.write_text(json.dumps(value, **({"indent": 1} | options)) + "\n")


def write_tokenizer(directory):
    """Byte-level BPE without merges: one token a byte, then the special tokens; 13 rows of the embedding have no token."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    names = {byte: chr(byte) for byte in printable}
    names |= {byte: chr(256 + i) for i, byte in enumerate(b for b in range(256) if b not in names)}
    specials = {"<|endoftext|>": 256, "<|im_start|>": 257, "<|im_end|>": 258}
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    byte_level = dict(type="ByteLevel", add_prefix_space=False, trim_offsets=True, use_regex=True)
    model = dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None, fuse_unk=False,
                 byte_fallback=False, ignore_merges=False, vocab={names[byte]: byte for byte in range(256)}, merges=[])  # fmt: skip
    added = [dict(id=token, content=text, **flags) for text, token in specials.items()]
    write_json(directory / "tokenizer.json", dict(version="1.0", truncation=None, padding=None, added_tokens=added, normalizer=None,
               pre_tokenizer=byte_level, post_processor=None, decoder=byte_level, model=model), indent=None)  # fmt: skip
    template = (
        "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
    )
    write_json(directory / "tokenizer_config.json", dict(tokenizer_class="PreTrainedTokenizerFast", bos_token="<|endoftext|>",
               eos_token="<|im_end|>", pad_token="<|endoftext|>", add_bos_token=False, chat_template=template))  # fmt: skip
    write_json(directory / "generation_config.json", dict(bos_token_id=256, eos_token_id=[258, 256], do_sample=False))


@torch.no_grad()
def by_token(model, tokens):
    """[tokens][vocab]: logits with one token a call, so that dynamic RoPE takes each position's own sequence length."""
    cache, rows = None, []
    for token in tokens:
        output = model(torch.tensor([[token]]), past_key_values=cache, use_cache=True)
        cache = output.past_key_values
        rows.append(output.logits[0, -1])
    return torch.stack(rows)


@torch.no_grad()
def at_once(model, tokens):
    return model(torch.tensor([tokens]), use_cache=False).logits[0]


def goldens(directory, seed):
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager").eval()
    scaling = json.loads((directory / "config.json").read_text()).get("rope_scaling") or {}
    dynamic = scaling.get("rope_type") == "dynamic"
    logits_of = by_token if dynamic else at_once
    prompt = torch.randint(0, VOCAB, (PROMPT,), generator=torch.Generator().manual_seed(seed)).tolist()
    tokens, gaps = list(prompt), []
    for _ in range(STEPS):
        best = logits_of(model, tokens)[-1].topk(2)
        gaps.append(float(best.values[0] - best.values[1]))
        tokens.append(int(best.indices[0]))
    logits = logits_of(model, tokens)
    if not dynamic:
        difference = (logits - by_token(model, tokens)).abs().max()
        assert difference < 1e-4, difference
    rows = [*ROWS, len(tokens) - 1]
    return dict(
        prompt=prompt,
        continuation=tokens[PROMPT:],
        gaps=[round(gap, 4) for gap in gaps],
        logits=[dict(position=row, values=[round(value, 5) for value in logits[row].tolist()]) for row in rows],
    )


def make(name):
    config = MODELS[name]
    directory = HERE / name
    for seed in range(1000):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        write_json(directory / "config.json", config)
        dtype = getattr(torch, config.get("torch_dtype") or config["dtype"])
        write_weights(directory, weights(AutoConfig.from_pretrained(directory), seed), dtype, 2 if name == "llama-untied" else 1)
        result = goldens(directory, seed)
        if min(result["gaps"]) >= SMALLEST_GAP and len(set(result["continuation"])) >= STEPS // 2:
            break
    else:
        sys.exit(f"{name}: no seed gives clear choices")
    write_tokenizer(directory)
    write_json(directory / "goldens.json", result, indent=None)
    size = sum(file.stat().st_size for file in directory.iterdir())
    spread = max(max(row["values"]) - min(row["values"]) for row in result["logits"])
    print(f"{name}: seed {seed}, {size} bytes, gaps from {min(result['gaps']):.3f}, logits spread {spread:.1f}, {result['continuation']}", flush=True)


if __name__ == "__main__":
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MODELS:
        make(name)
