"""Trains the language model of this directory: python train.py tinyshakespeare.txt OUT [--steps N] [--threads N]

A model of LLaMA's architecture that reads bytes: 20 blocks of width 96, 6 heads of which 3 have keys and values, SwiGLU of
width 256, half-split rotary positions, tied head. The last tenth of the text is held out. Everything follows from the seed;
a run that was stopped goes on from OUT/checkpoint.pt.
"""

import argparse
import json
import math
import os
import time

import torch
from torch import nn
from torch.nn import functional as F

CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 258,
    "hidden_size": 96,
    "intermediate_size": 256,
    "num_hidden_layers": 20,
    "num_attention_heads": 6,
    "num_key_value_heads": 3,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "torch_dtype": "bfloat16",
}
SEED, CONTEXT, BATCH, RATE, WARMUP, DECAY = 1, 256, 16, 2e-3, 100, 0.1


class Norm(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + CONFIG["rms_norm_eps"])


def rotated(x, cos, sin):
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        width, head = CONFIG["hidden_size"], CONFIG["head_dim"]
        self.heads, self.groups, self.head = CONFIG["num_attention_heads"], CONFIG["num_key_value_heads"], head
        self.q_proj = nn.Linear(width, self.heads * head, bias=False)
        self.k_proj = nn.Linear(width, self.groups * head, bias=False)
        self.v_proj = nn.Linear(width, self.groups * head, bias=False)
        self.o_proj = nn.Linear(self.heads * head, width, bias=False)

    def forward(self, x, cos, sin):
        batch, length, _ = x.shape
        split = lambda y, heads: y.view(batch, length, heads, self.head).transpose(1, 2)
        q, k, v = split(self.q_proj(x), self.heads), split(self.k_proj(x), self.groups), split(self.v_proj(x), self.groups)
        q, k = rotated(q, cos, sin), rotated(k, cos, sin)
        k, v = (t.repeat_interleave(self.heads // self.groups, dim=1) for t in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o_proj(y.transpose(1, 2).reshape(batch, length, -1))


class Mlp(nn.Module):
    def __init__(self):
        super().__init__()
        width, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
        self.gate_proj = nn.Linear(width, inner, bias=False)
        self.up_proj = nn.Linear(width, inner, bias=False)
        self.down_proj = nn.Linear(inner, width, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn, self.mlp = Attention(), Mlp()
        self.input_layernorm, self.post_attention_layernorm = Norm(CONFIG["hidden_size"]), Norm(CONFIG["hidden_size"])

    def forward(self, x, cos, sin):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return x + self.mlp(self.post_attention_layernorm(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed_tokens = nn.Embedding(CONFIG["vocab_size"], CONFIG["hidden_size"])
        self.layers = nn.ModuleList(Block() for _ in range(CONFIG["num_hidden_layers"]))
        self.norm = Norm(CONFIG["hidden_size"])
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                # What a block adds is small at first.
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(weight, std=0.05 / (math.sqrt(2 * len(self.layers)) if last else 1))

    def forward(self, tokens):
        head = CONFIG["head_dim"]
        rates = CONFIG["rope_theta"] ** (-torch.arange(0, head, 2) / head)
        angles = torch.outer(torch.arange(tokens.shape[1]), rates)
        cos, sin = (torch.cat((f(angles), f(angles)), dim=-1) for f in (torch.cos, torch.sin))
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, cos, sin)
        return F.linear(self.norm(x), self.embed_tokens.weight)


def loss_of(model, text, starts):
    rows = torch.stack([text[start : start + CONTEXT] for start in starts])
    bos = torch.full((len(rows), 1), CONFIG["bos_token_id"])
    scores = model(torch.cat((bos, rows[:, :-1]), dim=1))
    return F.cross_entropy(scores.reshape(-1, scores.shape[-1]), rows.reshape(-1))


def save(model, out):
    from safetensors.torch import save_file

    tensors = {f"model.{name}": weight.detach().to(torch.bfloat16).contiguous() for name, weight in model.named_parameters()}
    save_file(tensors, os.path.join(out, "model.safetensors"), metadata={"format": "pt"})
    with open(os.path.join(out, "config.json"), "w") as file:
        json.dump(CONFIG, file, indent=2)
        file.write("\n")
    with open(os.path.join(out, "tokenizer.json"), "w") as file:
        json.dump(tokenizer(), file, indent=1)
        file.write("\n")


def tokenizer():
    """Every byte a token: a byte-pair encoding without pairs, whose alphabet writes the bytes that do not print as others."""
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = {byte: 256 + place for place, byte in enumerate(b for b in range(256) if b not in printing)}
    vocabulary = {chr(others.get(byte, byte)): byte for byte in range(256)}
    special = {"<s>": CONFIG["bos_token_id"], "</s>": CONFIG["eos_token_id"]}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    begin = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": token, "content": name, **flags} for name, token in special.items()],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": begin,
            "pair": begin + [{"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [special["<s>"]], "tokens": ["<s>"]}},
        },
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": vocabulary, "merges": []},
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("text")
    parser.add_argument("out")
    parser.add_argument("--steps", type=int, default=1050)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(SEED)
    os.makedirs(arguments.out, exist_ok=True)
    text = torch.tensor(list(open(arguments.text, "rb").read()))
    held = len(text) * 9 // 10
    train, test = text[:held], text[held:]
    model = Model()
    matrices = [weight for weight in model.parameters() if weight.dim() == 2]
    scales = [weight for weight in model.parameters() if weight.dim() == 1]
    groups = [{"params": matrices, "weight_decay": DECAY}, {"params": scales, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.95))
    path, first = os.path.join(arguments.out, "checkpoint.pt"), 0
    if os.path.exists(path):
        state = torch.load(path)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        first = state["step"]
    begin = time.time()
    for step in range(first, arguments.steps):
        # Warm up, then stay, then fall to nothing over the last third.
        left = (arguments.steps - step) / (arguments.steps / 3)
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / WARMUP, left)
        random = torch.Generator().manual_seed(SEED * 1_000_003 + step)
        starts = torch.randint(len(train) - CONTEXT, (BATCH,), generator=random).tolist()
        loss = loss_of(model, train, starts)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if (step + 1) % 50 == 0 or step + 1 == arguments.steps:
            with torch.no_grad():
                held_out = loss_of(model, test, range(0, len(test) - CONTEXT, (len(test) - CONTEXT) // 32))
            print(f"step {step + 1}: {loss.item():.4f}, held out {held_out.item():.4f}, {time.time() - begin:.0f} s", flush=True)
            state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "step": step + 1}
            torch.save(state, path + ".new")
            os.replace(path + ".new", path)
            save(model, arguments.out)


main()
