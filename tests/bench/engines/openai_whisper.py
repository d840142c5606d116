"""openai-whisper, the original, at its defaults, which are greedy with fallback."""

from pathlib import Path

import torch
import whisper  # type: ignore[import-not-found]

from tests.bench.audio import waveform
from tests.bench.engines.engine import Transcribe, arguments, measure


def load(model: str, threads: int) -> Transcribe:
    torch.set_num_threads(threads)
    whole = whisper.load_model(model, device="cpu")

    def transcribe(audio: Path) -> str:
        text: str = whole.transcribe(waveform(audio), language="en", fp16=False)["text"]
        return text

    return transcribe


if __name__ == "__main__":
    given = arguments().parse_args()
    measure(load(given.model, given.threads), given.audio, given.warm_up)
