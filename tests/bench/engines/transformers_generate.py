"""transformers' long-form `generate`: each window begins where the last timestamp ended."""

from pathlib import Path

import torch
from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration

from tests.bench.audio import SAMPLE_RATE, waveform
from tests.bench.engines.engine import Transcribe, arguments, measure


def load(model: str, threads: int) -> Transcribe:
    torch.set_num_threads(threads)
    whisper = WhisperForConditionalGeneration.from_pretrained(model).eval()
    extractor = WhisperFeatureExtractor.from_pretrained(model)
    tokenizer = AutoTokenizer.from_pretrained(model)

    @torch.inference_mode()
    def transcribe(audio: Path) -> str:
        features = extractor(
            waveform(audio),
            sampling_rate=SAMPLE_RATE,
            return_tensors="pt",
            truncation=False,
            padding="longest",
            return_attention_mask=True,
        )
        tokens = whisper.generate(**features, return_timestamps=True)
        text: str = tokenizer.decode(tokens[0], skip_special_tokens=True)
        return text

    return transcribe


if __name__ == "__main__":
    given = arguments().parse_args()
    measure(load(given.model, given.threads), given.audio, given.warm_up)
