"""The operators that a graph may lower to, each with what it comes from.

neuronx-cc is not here to ask. These are the operators that Whisper needs, of the kinds that
published models for inf2 lower to; a new one is a question to settle before it is added.
"""

from collections.abc import Mapping

LAYOUT = "views and layouts of a tensor"
ARITHMETIC = "arithmetic, element by element"
MASK = "the mask over the cache, and what is no text"
SOFTMAX = "softmax and logsumexp"

OPERATORS: Mapping[str, str] = {
    "add": ARITHMETIC,
    "and": "softmax of a row that is masked as a whole, in PyTorch's own attention",
    "batch-norm-training": "layer norm: torch_xla normalises the rows as channels",
    "broadcast": LAYOUT,
    "clamp": "fillers beyond the context take the last position's embedding",
    "compare": MASK,
    "concatenate": "the indices of scatter and gather; heads put side by side",
    "constant": "numbers",
    "convert": "bfloat16 to float32 for softmax and layer norm, and back; int32 to indices",
    "convolution": "the two convolutions over the spectrogram",
    "divide": SOFTMAX,
    "dot": "linear layers and attention",
    "erf": "GELU",
    "exponential": SOFTMAX,
    "gather": "embeddings; the logits after the last token; a token's log-probability",
    "get-tuple-element": "one of the three results of batch-norm-training",
    "iota": "positions, and the indices of scatter",
    "log": SOFTMAX,
    "maximum": SOFTMAX,
    "multiply": ARITHMETIC,
    "parameter": "weights, state and inputs",
    "reduce": SOFTMAX,
    "reshape": LAYOUT,
    "rsqrt": "layer norm",
    "scatter": "tokens' keys and values go to their places in the cache",
    "select": MASK,
    "slice": "the first positions' embeddings; all but the last position",
    "subtract": SOFTMAX,
    "transpose": LAYOUT,
    "tuple": "the results",
}
"""Of HLO, which is what neuronx-cc is given."""

ELEMENT_TYPES: Mapping[str, str] = {
    "F32": "softmax, layer norm, logits; everything in a float32 model",
    "BF16": "everything else in a bfloat16 model",
    "S32": "tokens, positions",
    "S64": "indices of scatter and gather, which PyTorch wants so; 32 bits on inf2",
    "U32": "indices of gather as torch_xla builds them",
    "PRED": "masks",
}
"""float64 above all is not among them: no NeuronCore has it."""

STABLEHLO_NAMES: Mapping[str, str] = {"broadcast_in_dim": "broadcast", "dot_general": "dot"}
"""The operators that StableHLO calls otherwise; it has underscores where HLO has hyphens."""

STABLEHLO_ONLY: Mapping[str, str] = {"return": "ends the computation of a reduce or a scatter"}
"""Operators of the text that are none of HLO."""

STABLEHLO_CALLS: Mapping[str, str] = {"mhlo.erf": "HLO's erf, which StableHLO has no word for"}
"""The custom calls that are operators of HLO and only written as calls."""
