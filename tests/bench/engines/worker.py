"""This worker from a file on: feeder, decoder, speech detector and Whisper, with no S3 about it."""

from io import FileIO
from pathlib import Path
from typing import cast

from neuron_worker.contract import S3Uri, WorkItem
from neuron_worker.feeder import Feeder
from neuron_worker.in_hand import RequestInHand
from neuron_worker.stop import Stop
from neuron_worker.store import Store
from neuron_worker.whisper.cpu import CpuRuntime
from neuron_worker.whisper.runtime import Shapes
from neuron_worker.whisper.transcriber import Transcriber
from neuron_worker.whisper.weights import load_checkpoint
from tests.bench.engines.engine import Transcribe, arguments, measure

AUDIO_MAX_SECONDS = 86_400.0
BATCH_SIZE = 16
"""Faster here than 8, which is as fast as 16 for the batched peers."""


class LocalFile(FileIO):
    """Looks like `store.S3File`."""

    etag = ""


class LocalStore:
    """Opens one file, whatever it is asked for."""

    def __init__(self, audio: Path) -> None:
        self._audio = audio

    def open(self, uri: S3Uri, version: str | None) -> LocalFile:
        return LocalFile(self._audio)


def load(model: str, weights: str, threads: int) -> Transcribe:
    """`weights` is `float32` or `int8`."""
    checkpoint = load_checkpoint(model)
    compiled = CpuRuntime(threads).compile(checkpoint, Shapes(BATCH_SIZE, weights))
    transcriber = Transcriber(checkpoint, compiled)

    def transcribe(audio: Path) -> str:
        item = WorkItem(request_id="bench", audio="s3://bench/audio", output="s3://bench/out")
        request = RequestInHand(item, record=None, record_etag=None)
        feeder = Feeder(
            store=cast(Store, LocalStore(audio)),
            transcriber=transcriber,
            requests=iter([request]),
            progress=lambda _: None,
            audio_max_seconds=AUDIO_MAX_SECONDS,
            whole=lambda _: None,
            stop=Stop(),
        )
        with feeder:
            for window in transcriber.transcribe(feeder):
                feeder.owner(window.recording)[1].take(window)
        if request.failure:
            raise request.failure
        return " ".join(segment.text for segment in request.transcript(model).segments)

    return transcribe


if __name__ == "__main__":
    parser = arguments()
    parser.add_argument("--weights", choices=("float32", "int8"), required=True)
    given = parser.parse_args()
    measure(load(given.model, given.weights, given.threads), given.audio, given.warm_up)
