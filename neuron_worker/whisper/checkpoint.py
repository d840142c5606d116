"""A Whisper checkpoint in memory, wherever it was read from."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from transformers.models.whisper.configuration_whisper import WhisperConfig

MULTILINGUAL_VOCABULARY_SIZE = 51_865
"""The smallest vocabulary of a multilingual Whisper; the English-only ones have 51,864 tokens.

Source: openai/whisper, model.py, `Whisper.is_multilingual`.
"""

MAX_INITIAL_TIMESTAMP_INDEX = 50
"""A window's first timestamp is at most 50 steps of 0.02 s, where the checkpoint says nothing else.

Source: openai/whisper, decoding.py, `DecodingOptions.max_initial_timestamp` (1.0 s).
"""


@dataclass(frozen=True, slots=True)
class Generation:
    """What a checkpoint says about decoding: the used part of transformers' GenerationConfig."""

    is_multilingual: bool
    suppress_tokens: tuple[int, ...]
    begin_suppress_tokens: tuple[int, ...]
    max_initial_timestamp_index: int = MAX_INITIAL_TIMESTAMP_INDEX
    alignment_heads: tuple[tuple[int, int], ...] = ()
    """(decoder layer, head) pairs whose cross-attention follows the audio."""


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Configuration, weights and tokenizer of one Whisper model.

    `state` has the names of transformers' `WhisperForConditionalGeneration`, in float32, without
    `proj_out.weight`, which is the token embedding. `revision` names the weights for good.
    """

    name: str
    revision: str
    config: WhisperConfig
    generation: Generation
    state: Mapping[str, torch.Tensor]
    tokenizer: Tokenizer
