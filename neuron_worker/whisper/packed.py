"""Linear layers packed for the CPU: the same numbers faster, or nearly the same much faster."""

from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

WHOLE_MAX = 127
"""8-bit weights and inputs lie between this and its negative."""

PAIR_WEIGHT_MAX = 64
"""The same for weights on a CPU that adds two products in 16 bits: 2 · 255 · 64 still fits.

So do x86 CPUs without VNNI (`vpmaddubsw` saturates; oneDNN's guide, "Nuances of int8
computations"). What did not fit would be cut off, silently.
"""

SIGN_BIT = 128
"""oneDNN's fast kernels take inputs from 0 to 255 and are told which of them stands for zero."""

LEAST_STEP = 1e-9
"""Inputs that are all zero still have a step."""


class PackedLinear(nn.Module):
    """A linear layer whose weight stands in the blocked layout of oneDNN's kernels.

    Packing once makes a step of few rows about three times as fast as PyTorch's usual linear,
    most of all for the vocabulary.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())  # noqa: SLF001
        self.bias = linear.bias

    @property
    def weight(self) -> Tensor:
        """The weight as it was, [out, in]."""
        dense: Tensor = self.packed.to_dense()
        return dense

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            x, self.packed, self.bias, "none", [], ""
        )
        return y


class ByteLinear(nn.Module):
    """A linear layer of 8-bit weights, with a scale for each output, over inputs made 8-bit.

    The range of each token's inputs is found anew at each call, so nothing needs calibration, and
    what a token gives does not depend on those beside it. Zero keeps its value: most of what GELU
    lets through is near it, however large the rest.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        least = torch.finfo(torch.float32).tiny
        self.scales = weight.abs().amax(dim=1).clamp(min=least) / weight_max()
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.whole = (weight / self.scales.unsqueeze(1)).round().to(torch.int8)
        self.packed = torch.ops.onednn.qlinear_prepack(self.whole, None)
        self.bias = linear.bias

    @property
    def weight(self) -> Tensor:
        """What is left of the weight as it was, [out, in] float32."""
        return self.whole.float() * self.scales.unsqueeze(1)

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        tokens = x.flatten(0, -2)
        steps = tokens.abs().amax(dim=1, keepdim=True).div_(WHOLE_MAX).clamp_(min=LEAST_STEP)
        whole = tokens.div(steps).round_().to(torch.int8)
        y = _multiplied(whole, self.packed, self.scales, self.zeros)
        scaled = y.mul_(steps) if self.bias is None else torch.addcmul(self.bias, y, steps, out=y)
        return scaled.view(*x.shape[:-1], -1)


@cache
def weight_max() -> int:
    """The largest 8-bit weight whose products this CPU adds up in full: tried, not looked up.

    oneDNN may be told to use less than the CPU has.
    """
    length = 64
    largest = torch.full((1, length), WHOLE_MAX, dtype=torch.int8)
    packed = torch.ops.onednn.qlinear_prepack(largest, None)
    one, zero = torch.ones(1), torch.zeros(1, dtype=torch.int64)
    found = _multiplied(largest.clone(), packed, one, zero).item()
    return WHOLE_MAX if found == length * WHOLE_MAX**2 else PAIR_WEIGHT_MAX


def _multiplied(whole: Tensor, packed: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
    """[tokens, in] int8 by a packed weight, [tokens, out] float32, each output times its scale."""
    y: Tensor = torch.ops.onednn.qlinear_pointwise(
        whole.view(torch.uint8).bitwise_xor_(SIGN_BIT),
        1.0,
        SIGN_BIT,
        packed,
        scales,
        zeros,
        None,
        1.0,
        0,
        torch.float32,
        "none",
        [],
        "",
    )
    return y


def pack(module: nn.Module, packed: Callable[[nn.Linear], nn.Module]) -> None:
    """Replace every linear layer below `module` by a packed one."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, packed(child))
        else:
            pack(child, packed)
