"""The network (Llama architecture) as plain functions over stacked layer weights, and greedy decoding for evaluation.

Tokens of all rows are laid out one after another: activations are [tokens][width].
"""

import json
import os
import shutil

import torch
import torch.nn.functional as F

VOCAB, WIDTH, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN = 8192, 384, 8, 6, 2, 64, 1024
CONTEXT, THETA, EPS = 32768, 500000.0, 1e-5
END_OF_TURN = 2

MATRICES = {  # name: (rows, columns), each stacked over the layers
    "wq": (HEADS * HEAD_DIM, WIDTH),
    "wk": (KV_HEADS * HEAD_DIM, WIDTH),
    "wv": (KV_HEADS * HEAD_DIM, WIDTH),
    "wo": (WIDTH, HEADS * HEAD_DIM),
    "wg": (FFN, WIDTH),
    "wu": (FFN, WIDTH),
    "wd": (WIDTH, FFN),
}
FILE_NAMES = {
    "wq": "self_attn.q_proj",
    "wk": "self_attn.k_proj",
    "wv": "self_attn.v_proj",
    "wo": "self_attn.o_proj",
    "wg": "mlp.gate_proj",
    "wu": "mlp.up_proj",
    "wd": "mlp.down_proj",
}
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "intermediate_size": FFN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "hidden_act": "silu",
    "max_position_embeddings": CONTEXT,
    "rms_norm_eps": EPS,
    "rope_theta": THETA,
    "rope_scaling": None,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
    "bos_token_id": 0,
    "eos_token_id": END_OF_TURN,
    "pad_token_id": 0,
    "use_cache": True,
    "torch_dtype": "bfloat16",
}
GENERATION_CONFIG = {
    "bos_token_id": 0,
    "eos_token_id": END_OF_TURN,
    "pad_token_id": 0,
    "do_sample": False,
    "max_new_tokens": 64,
}


def init(device):
    """Fresh weights: emb (tied), the matrices, n1 and n2 (norms of a layer), nf (final norm)."""
    generator = torch.Generator(device="cpu").manual_seed(1)
    weights = {"emb": torch.randn(VOCAB, WIDTH, generator=generator) * 0.02}
    for name, (rows, columns) in MATRICES.items():
        if name in ("wo", "wd"):  # layers start as the identity
            weights[name] = torch.zeros(LAYERS, rows, columns)
        else:
            uniform = torch.rand(LAYERS, rows, columns, generator=generator) * 2 - 1
            weights[name] = uniform * 3**0.5 * 0.6 * columns**-0.5
    weights["n1"], weights["n2"], weights["nf"] = (
        torch.ones(LAYERS, WIDTH),
        torch.ones(LAYERS, WIDTH),
        torch.ones(WIDTH),
    )
    return {name: tensor.to(device) for name, tensor in weights.items()}


def rope_tables(device):
    """(cos, sin), each [CONTEXT][HEAD_DIM]."""
    frequencies = 1.0 / (THETA ** (torch.arange(0, HEAD_DIM, 2, dtype=torch.float64) / HEAD_DIM))
    angles = torch.arange(CONTEXT, dtype=torch.float64)[:, None] * frequencies[None]
    angles = torch.cat([angles, angles], -1)
    return angles.cos().float().to(device), angles.sin().float().to(device)


def rms_norm(x, gain):
    """Root-mean-square norm, computed in float32."""
    y = x.float()
    return (y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + EPS) * gain.float()).to(x.dtype)


def rotate(x, cos, sin):
    """RoPE on [tokens][heads][HEAD_DIM]."""
    y = x.float()
    first, second = y.chunk(2, -1)
    return (y * cos[:, None] + torch.cat([-second, first], -1) * sin[:, None]).to(x.dtype)


def before_attention(x, gain, wq, wk, wv, cos, sin):
    """Norm, projections and RoPE: queries, keys, values, each [tokens][heads][HEAD_DIM]."""
    hidden, dtype = rms_norm(x, gain), x.dtype
    q, k, v = hidden @ wq.to(dtype).T, hidden @ wk.to(dtype).T, hidden @ wv.to(dtype).T
    q, k, v = q.view(-1, HEADS, HEAD_DIM), k.view(-1, KV_HEADS, HEAD_DIM), v.view(-1, KV_HEADS, HEAD_DIM)
    return rotate(q, cos, sin), rotate(k, cos, sin), v


def after_attention(x, attended, wo, gain, wg, wu, wd):
    """Output projection and feed-forward network, both added to x."""
    dtype = x.dtype
    x = x + attended @ wo.to(dtype).T
    hidden = rms_norm(x, gain)
    return x + (F.silu(hidden @ wg.to(dtype).T) * (hidden @ wu.to(dtype).T)) @ wd.to(dtype).T


def attend(q, k, v, rows, length, grouped=True):
    """Causal attention within each row of `length` tokens; grouped: let the kernel share KV heads."""
    q, k, v = (z.view(rows, length, -1, HEAD_DIM).transpose(1, 2) for z in (q, k, v))
    if not grouped:
        k, v = k.repeat_interleave(HEADS // KV_HEADS, 1), v.repeat_interleave(HEADS // KV_HEADS, 1)
    out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=grouped)
    return out.transpose(1, 2).reshape(rows * length, HEADS * HEAD_DIM)


def head_loss(x, gain, emb, targets, weights):
    """(weighted sum of cross-entropies, each token's cross-entropy without gradient)."""
    logits = (rms_norm(x, gain) @ emb.to(x.dtype).T).float()
    entropy = torch.logsumexp(logits, -1) - logits.gather(1, targets[:, None])[:, 0]
    return (entropy * weights).sum(), entropy.detach()


# ------------------------------------------------------------------- files
def export(weights, folder, tokenizer_folder):
    """Write a Hugging Face model directory in bf16."""
    from safetensors.torch import save_file

    tensors = {"model.embed_tokens.weight": weights["emb"], "model.norm.weight": weights["nf"]}
    for i in range(LAYERS):
        for name, file_name in FILE_NAMES.items():
            tensors[f"model.layers.{i}.{file_name}.weight"] = weights[name][i]
        tensors[f"model.layers.{i}.input_layernorm.weight"] = weights["n1"][i]
        tensors[f"model.layers.{i}.post_attention_layernorm.weight"] = weights["n2"][i]
    tensors = {name: t.detach().to(torch.bfloat16).cpu().contiguous() for name, t in tensors.items()}
    os.makedirs(folder, exist_ok=True)
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    for name, content in (("config.json", CONFIG), ("generation_config.json", GENERATION_CONFIG)):
        with open(os.path.join(folder, name), "w") as f:
            json.dump(content, f, indent=2)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(os.path.join(tokenizer_folder, name), folder)


def load(path, device, dtype):
    """Weights from a safetensors file that `export` wrote."""
    from safetensors.torch import load_file

    tensors = {name: t.to(device=device, dtype=dtype) for name, t in load_file(path).items()}

    def stack(name):
        return torch.stack([tensors[f"model.layers.{i}.{name}.weight"] for i in range(LAYERS)])

    weights = {"emb": tensors["model.embed_tokens.weight"], "nf": tensors["model.norm.weight"]}
    for name, file_name in FILE_NAMES.items():
        weights[name] = stack(file_name)
    weights["n1"], weights["n2"] = stack("input_layernorm"), stack("post_attention_layernorm")
    return weights


# ------------------------------------------------------------------- decoding
def layer(weights, i, names):
    return (weights[name][i] for name in names)


@torch.no_grad()
def generate(weights, prompts, cos, sin, count=64):
    """Greedy continuations of token-id lists, up to the end of the turn (right-padded prefill, then one token a step)."""
    emb = weights["emb"]
    device, rows = emb.device, len(prompts)
    lengths = torch.tensor([len(p) for p in prompts], device=device)
    longest = int(lengths.max())
    ids = torch.zeros(rows, longest, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, : len(prompt)] = torch.tensor(prompt)

    slots = longest + count
    keys = [torch.zeros(rows, KV_HEADS, slots, HEAD_DIM, device=device, dtype=emb.dtype) for _ in range(LAYERS)]
    values = [torch.zeros_like(k) for k in keys]
    positions = torch.arange(longest, device=device).repeat(rows)
    c, s = cos[positions], sin[positions]
    x = emb[ids.to(device).view(-1)]
    for i in range(LAYERS):
        q, k, v = before_attention(x, *layer(weights, i, ("n1", "wq", "wk", "wv")), c, s)
        keys[i][:, :, :longest] = k.view(rows, longest, KV_HEADS, HEAD_DIM).transpose(1, 2)
        values[i][:, :, :longest] = v.view(rows, longest, KV_HEADS, HEAD_DIM).transpose(1, 2)
        attended = attend(q, k, v, rows, longest, grouped=x.dtype == torch.bfloat16)
        x = after_attention(x, attended, *layer(weights, i, ("wo", "n2", "wg", "wu", "wd")))

    every_row, every_slot = torch.arange(rows, device=device), torch.arange(slots, device=device)
    x = x.view(rows, longest, WIDTH)[every_row, lengths - 1]
    out, ended = [], torch.zeros(rows, dtype=torch.bool, device=device)
    slot = lengths.clone()
    for step in range(count):
        token = (rms_norm(x, weights["nf"]) @ emb.T).argmax(-1)
        token = torch.where(ended, torch.zeros_like(token), token)
        out.append(token)
        ended |= token == END_OF_TURN
        if step == count - 1 or bool(ended.all()):
            break
        x, c, s = emb[token], cos[slot], sin[slot]
        visible = (every_slot[None] <= slot[:, None])[:, None, None]
        for i in range(LAYERS):
            q, k, v = before_attention(x, *layer(weights, i, ("n1", "wq", "wk", "wv")), c, s)
            keys[i][every_row, :, slot], values[i][every_row, :, slot] = k, v
            grouped = q.view(rows, KV_HEADS, HEADS // KV_HEADS, HEAD_DIM)
            scores = (grouped @ keys[i].transpose(-1, -2)).float() * HEAD_DIM**-0.5
            shares = scores.masked_fill(~visible, float("-inf")).softmax(-1).to(x.dtype)
            attended = (shares @ values[i]).reshape(rows, HEADS * HEAD_DIM)
            x = after_attention(x, attended, *layer(weights, i, ("wo", "n2", "wg", "wu", "wd")))
        slot = slot + 1
    answers = torch.stack(out, 1).tolist()
    return [a[: a.index(END_OF_TURN)] if END_OF_TURN in a else a for a in answers]
