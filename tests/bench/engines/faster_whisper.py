"""faster-whisper, window after window or batched, at its defaults but for greedy decoding."""

from pathlib import Path

import faster_whisper  # type: ignore[import-not-found]

from tests.bench.engines.engine import Transcribe, arguments, measure

BATCH_SIZE = 8


def load(model: str, weights: str, threads: int, *, batched: bool, timestamps: bool) -> Transcribe:
    """Batched, `timestamps` asks for what only the sequential mode gives by itself."""
    whisper = faster_whisper.WhisperModel(
        model, device="cpu", compute_type=weights, cpu_threads=threads
    )
    pipeline = faster_whisper.BatchedInferencePipeline(whisper)

    def transcribe(audio: Path) -> str:
        if batched:
            segments, _ = pipeline.transcribe(
                str(audio),
                language="en",
                beam_size=1,
                batch_size=BATCH_SIZE,
                without_timestamps=not timestamps,
            )
        else:
            segments, _ = whisper.transcribe(str(audio), language="en", beam_size=1)
        return " ".join(segment.text for segment in segments)

    return transcribe


if __name__ == "__main__":
    parser = arguments()
    parser.add_argument("--weights", choices=("float32", "int8"), required=True)
    parser.add_argument("--batched", action="store_true")
    parser.add_argument("--timestamps", action="store_true")
    given = parser.parse_args()
    measure(
        load(
            given.model,
            given.weights,
            given.threads,
            batched=given.batched,
            timestamps=given.timestamps,
        ),
        given.audio,
        given.warm_up,
    )
