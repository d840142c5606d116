"""What transformers' own greedy search makes of a window: the reference for all decoding."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import GenerationConfig, GenerationMixin
from transformers.generation.logits_process import (
    LogitsProcessorList,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from neuron_worker.whisper.decoding import Rules
from neuron_worker.whisper.fallback import Decoded


@torch.no_grad()
def encoded_by(model: WhisperForConditionalGeneration, mels: Tensor) -> BaseModelOutput:
    """What transformers' encoder makes of each window [rows, mel bins, 3000]."""
    hidden = [model.get_encoder()(mel.unsqueeze(0)).last_hidden_state for mel in mels]
    return BaseModelOutput(torch.cat(hidden))


@torch.no_grad()
def transformers_greedy(
    model: WhisperForConditionalGeneration,
    encoded: BaseModelOutput,
    start: Sequence[int],
    rest: Sequence[int],
    rules: Rules,
) -> list[Decoded]:
    """What transformers' search with its own Whisper processors decodes after `start` and `rest`.

    The texts are left empty.
    """
    special, generation = rules.special, rules.generation
    begin = len(start) + len(rest)
    context = model.config.max_target_positions
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=min(context // 2, context - begin + 1),
        eos_token_id=special.end_of_text,
        pad_token_id=special.end_of_text,
        no_timestamps_token_id=special.no_timestamps,
        max_initial_timestamp_index=generation.max_initial_timestamp_index,
    )
    processors = LogitsProcessorList(
        [
            SuppressTokensAtBeginLogitsProcessor(generation.begin_suppress_tokens, begin),
            SuppressTokensLogitsProcessor(generation.suppress_tokens),
            WhisperTimeStampLogitsProcessor(config, begin_index=begin),
        ]
    )
    prompt = torch.tensor([[*start, *rest]]).expand(len(encoded.last_hidden_state), -1)
    after_start = model(encoder_outputs=encoded, decoder_input_ids=prompt[:, : len(start)]).logits
    found = GenerationMixin.generate(
        model,
        generation_config=config,
        logits_processor=processors,
        encoder_outputs=encoded,
        decoder_input_ids=prompt,
        return_dict_in_generate=True,
        output_scores=True,
    )
    silent = after_start[:, -1].softmax(dim=-1)[:, special.no_speech].tolist()
    scores = torch.stack(found.scores, dim=1).log_softmax(dim=-1)
    gained = scores.gather(2, found.sequences[:, begin:].unsqueeze(2)).squeeze(2)
    return [
        _decoded(chosen, of_chosen, no_speech, special.end_of_text)
        for chosen, of_chosen, no_speech in zip(
            found.sequences[:, begin:], gained, silent, strict=True
        )
    ]


def _decoded(chosen: Tensor, gained: Tensor, no_speech: float, end_of_text: int) -> Decoded:
    tokens = chosen[chosen != end_of_text].tolist()
    average = gained[: len(tokens) + 1].mean().item()
    cut_short = end_of_text not in chosen
    return Decoded(tuple(tokens), "", average, no_speech, cut_short=cut_short)
