"""The way of the public AWS sample for Whisper on Inferentia2, on transformers' model.

The recording is cut every 30 s. There is no cache of keys and values: each token runs the whole
decoder over 448 positions, most of them padding, and projects the encoder's output anew. Source:
aws-samples/whisper-transcription-awsbatch-inferentia-blog, inference.py. It is spared what
transformers' `generate` costs beside the decoder, and the vocabulary's logits of all positions but
the last.
"""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration

from tests.bench.audio import SAMPLE_RATE, waveform
from tests.bench.engines.engine import Transcribe, arguments, measure

CUT_SECONDS = 30
DECODER_POSITIONS = 448


def load(model: str, threads: int) -> Transcribe:
    torch.set_num_threads(threads)
    whisper = WhisperForConditionalGeneration.from_pretrained(model).eval()
    extractor = WhisperFeatureExtractor.from_pretrained(model)
    tokenizer = AutoTokenizer.from_pretrained(model)

    @torch.inference_mode()
    def transcribe(audio: Path) -> str:
        texts = []
        for chunk in torch.from_numpy(waveform(audio)).split(CUT_SECONDS * SAMPLE_RATE):
            mel = extractor(chunk.numpy(), sampling_rate=SAMPLE_RATE, return_tensors="pt")
            tokens = decode(whisper, whisper.model.encoder(mel.input_features).last_hidden_state)
            texts.append(tokenizer.decode(tokens, skip_special_tokens=True))
        return " ".join(texts)

    return transcribe


def decode(whisper: WhisperForConditionalGeneration, heard: Tensor) -> list[int]:
    """Greedy, without timestamps, from the encoder's output for one window."""
    config = whisper.generation_config
    tokens = [config.decoder_start_token_id, config.no_timestamps_token_id]
    begin = len(tokens)
    while len(tokens) < DECODER_POSITIONS and tokens[-1] != config.eos_token_id:
        padded = pad(
            torch.tensor([tokens]), (0, DECODER_POSITIONS - len(tokens)), value=config.pad_token_id
        )
        hidden = whisper.model.decoder(
            input_ids=padded, encoder_hidden_states=heard, use_cache=False
        ).last_hidden_state
        logits = whisper.proj_out(hidden[0, len(tokens) - 1])
        logits[config.suppress_tokens] = -torch.inf
        if len(tokens) == begin:
            logits[config.begin_suppress_tokens] = -torch.inf
        tokens.append(int(logits.argmax()))
    return tokens


if __name__ == "__main__":
    given = arguments().parse_args()
    measure(load(given.model, given.threads), given.audio, given.warm_up)
