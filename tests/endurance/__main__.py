"""How much memory one long recording takes: `make endurance`.

A recording of HOURS (10) hours is made of the shipped one, transcribed by the worker that Batch
runs, and the worker's peak memory is compared with its bound.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from neuron_worker.audio import AudioReader
from neuron_worker.contract import Order, Shard, TranscriptFormat, WorkItem
from neuron_worker.speech import SAMPLE_RATE
from tests.running import Cloud, running_cloud

WEATHER = Path(__file__).parents[1] / "recordings" / "weather.mp3"
PEAK_MAX_MIB = 1536
"""What a worker with tiny.en may take, however long the recording is."""

told = Console(highlight=False)


def main() -> int:
    hours = float(os.environ.get("HOURS", "10"))
    with WEATHER.open("rb") as file, AudioReader(file, max_seconds=600) as reader:
        samples = sum(block.shape[1] for block in reader.blocks())
    times = math.ceil(hours * 3600 * SAMPLE_RATE / samples)
    with tempfile.TemporaryDirectory() as scratch, running_cloud(Path(scratch)) as cloud:
        # Frames of MP3 stand for themselves: files after each other are a file.
        order = ordered(cloud, WEATHER.read_bytes() * times)
        told.print(f"transcribing {hours:g} h in one recording …")
        started = time.monotonic()
        peak_mib = transcribe(cloud, order)
        seconds = time.monotonic() - started
        item = order.items()[0]
        transcript = json.loads(cloud.read(str(item.transcript(TranscriptFormat.JSON))))
    audio_seconds = transcript["duration_seconds"]
    said = transcript["text"].count("weather")
    told.print(
        f"{audio_seconds / 3600:.2f} h in {seconds / 60:.1f} min "
        f"({audio_seconds / seconds:.1f} times real time), peak memory {peak_mib:.0f} MiB, "
        f"{len(transcript['segments'])} segments, {said / times:.2f} of the forecasts found"
    )
    if peak_mib > PEAK_MAX_MIB:
        told.print(f"[red]that is more than {PEAK_MAX_MIB} MiB")
        return 1
    return 0


def ordered(cloud: Cloud, content: bytes) -> Order:
    item = WorkItem(
        request_id="long", audio=cloud.put("long.mp3", content), output="s3://transcripts/"
    )
    order = Order(
        order_id="long",
        profile="tiny.en",
        lane="lane",
        created_at=datetime.now(UTC),
        shards=(Shard(items=(item,)),),
    )
    uri = cloud.ledger.open_order(order.order_id)
    cloud.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=order.to_json())
    return order


def transcribe(cloud: Cloud, order: Order) -> float:
    """Run the worker; the peak memory of it, or of its decoder if that took more, in MiB."""
    uri = cloud.ledger.open_order(order.order_id)
    settings = {
        "WHISPER_FLEET_ORDER": str(uri),
        "WHISPER_FLEET_THREADS": str(os.cpu_count() or 1),
        "WHISPER_FLEET_WEIGHTS": os.environ.get("WEIGHTS", "int8"),
    }
    process = subprocess.Popen([sys.executable, "-m", "neuron_worker"], env=os.environ | settings)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the worker ended with {process.returncode}")
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
