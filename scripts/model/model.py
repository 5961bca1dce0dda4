"""The bundled model: a Llama (RMSNorm, half-split RoPE, grouped queries, SwiGLU, tied embedding) of 3.5 million parameters.

Training reads packed rows under a document mask; evaluation reads one token at a time with a KV cache.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Shape:
    """Everything that config.json says about the model's size."""

    vocab: int = 2048
    width: int = 192
    blocks: int = 8
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 32
    ffn: int = 512
    context: int = 512
    theta: float = 10000.0
    eps: float = 1e-5


TINY = Shape()


class RMSNorm(nn.Module):
    def __init__(self, width, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x):
        wide = x.float()
        scaled = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + self.eps)
        return scaled.to(x.dtype) * self.weight.to(x.dtype)


def rotate(x, cos, sin):
    """Rotary positions in the half-split layout of Hugging Face: x (rows, heads, tokens, head_dim)."""
    a, b = x.chunk(2, -1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1)


class Block(nn.Module):
    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        self.attn_norm = RMSNorm(shape.width, shape.eps)
        self.ffn_norm = RMSNorm(shape.width, shape.eps)
        self.qkv = nn.Linear(shape.width, q + 2 * kv, bias=False)
        self.out = nn.Linear(q, shape.width, bias=False)
        self.gate_up = nn.Linear(shape.width, 2 * shape.ffn, bias=False)
        self.down = nn.Linear(shape.ffn, shape.width, bias=False)

    def forward(self, x, cos, sin, mask, past):
        """x (rows, tokens, width); mask (rows or 1, 1, tokens, seen) is added to the scores, or None; past: (k, v) or None."""
        x, cache = self.attend(x, cos, sin, mask, past)
        gate, up = self.gate_up(self.ffn_norm(x)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up), cache

    def attend(self, x, cos, sin, mask, past):
        s = self.shape
        rows, tokens, _ = x.shape
        q, k, v = self.qkv(self.attn_norm(x)).split([s.heads * s.head_dim, s.kv_heads * s.head_dim, s.kv_heads * s.head_dim], -1)
        q = rotate(q.view(rows, tokens, s.heads, s.head_dim).transpose(1, 2), cos, sin)
        k = rotate(k.view(rows, tokens, s.kv_heads, s.head_dim).transpose(1, 2), cos, sin)
        v = v.view(rows, tokens, s.kv_heads, s.head_dim).transpose(1, 2)
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        group = s.heads // s.kv_heads
        keys, values = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        # Plain products: in training on a CPU with torch 2.6 faster than its fused attention kernel.
        scores = (q * s.head_dim**-0.5) @ keys.transpose(-1, -2)
        if mask is not None:
            scores = scores + mask
        mixed = torch.softmax(scores, -1).to(values.dtype) @ values
        return x + self.out(mixed.transpose(1, 2).reshape(rows, tokens, -1)), (k, v)


class Tiny(nn.Module):
    def __init__(self, shape=TINY):
        super().__init__()
        self.shape = shape
        self.embed = nn.Embedding(shape.vocab, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.norm = RMSNorm(shape.width, shape.eps)
        steps = torch.arange(0, shape.head_dim, 2).float() / shape.head_dim
        angles = torch.arange(shape.context).float()[:, None] / shape.theta**steps
        self.register_buffer('cos', angles.cos(), persistent=False)
        self.register_buffer('sin', angles.sin(), persistent=False)
        self.apply(self._init)

    def _init(self, module):
        if isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, 0, 0.02)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 1 / math.sqrt(module.in_features))
        if isinstance(module, Block):  # after its children: a block starts as the identity
            nn.init.zeros_(module.out.weight)
            nn.init.zeros_(module.down.weight)

    def forward(self, ids, documents=None, past=None, at=0):
        """ids (rows, tokens) -> logits (rows, tokens, vocab), cache.

        documents (rows, tokens) gives each token its document's number: a token sees only its own document.
        """
        x = self.embed(ids)
        tokens = ids.shape[1]
        cos, sin = self.cos[at : at + tokens].to(x.dtype), self.sin[at : at + tokens].to(x.dtype)
        mask = None if tokens == 1 else causal_mask(ids, documents, x.dtype)
        cache = []
        for i, block in enumerate(self.blocks):
            x, kv = block(x, cos, sin, mask, past[i] if past else None)
            cache.append(kv)
        return F.linear(self.norm(x), self.embed.weight), cache

    def token_losses(self, ids, targets, documents):
        """Cross entropy of every token in nats: (rows, tokens)."""
        logits, _ = self(ids, documents)
        return F.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction='none').view_as(targets)


def causal_mask(ids, documents, dtype):
    """0 where a token may look, a large negative number elsewhere: (rows, 1, tokens, tokens)."""
    tokens = ids.shape[1]
    allowed = torch.ones(tokens, tokens, dtype=torch.bool).tril()[None, None]
    if documents is not None:
        allowed = allowed & (documents[:, None, :, None] == documents[:, None, None, :])
    return torch.zeros((), dtype=dtype).where(allowed, torch.tensor(-1e4, dtype=dtype))
