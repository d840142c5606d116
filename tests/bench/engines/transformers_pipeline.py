"""transformers' pipeline: overlapping chunks of 30 s, eight at a time, merged by timestamps.

By default it searches with five beams; here it is greedy like the others.
"""

from pathlib import Path

import torch
from transformers import pipeline

from tests.bench.audio import SAMPLE_RATE, waveform
from tests.bench.engines.engine import Transcribe, arguments, measure

CHUNK_SECONDS = 30
BATCH_SIZE = 8


def load(model: str, threads: int) -> Transcribe:
    torch.set_num_threads(threads)
    recognise = pipeline(
        "automatic-speech-recognition",
        model=model,
        device="cpu",
        chunk_length_s=CHUNK_SECONDS,
        batch_size=BATCH_SIZE,
    )

    def transcribe(audio: Path) -> str:
        inputs = {"raw": waveform(audio), "sampling_rate": SAMPLE_RATE}
        heard = recognise(inputs, return_timestamps=True, generate_kwargs={"num_beams": 1})
        text: str = heard["text"]
        return text

    return transcribe


if __name__ == "__main__":
    given = arguments().parse_args()
    measure(load(given.model, given.threads), given.audio, given.warm_up)
