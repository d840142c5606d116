"""`whisper-fleet local`: all of it on one machine, with no account."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from daemon import logs
from daemon.cli.options import Formats, parse_formats
from daemon.cli.problem import Problem

app = typer.Typer(
    help="A small cloud on this machine: SQS, S3, Batch, the daemon and its workers.",
    no_args_is_help=True,
)

Model = Annotated[
    str, typer.Option(help="`tiny.en`, a Hugging Face id, or a folder with Whisper weights.")
]
Cores = Annotated[int, typer.Option(help="Simulated NeuronCores, two to a chip.", min=2)]


@app.command()
def run(
    audio: Annotated[
        list[Path], typer.Argument(help="Recordings, or folders of them.", metavar="AUDIO…")
    ],
    out: Annotated[Path, typer.Option(help="Where the transcripts go.")],
    model: Model = "tiny.en",
    formats: Formats = "txt,json",
    language: Annotated[str | None, typer.Option(help="Such as en; detected when absent.")] = None,
    cores: Cores = 2,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace transcripts that are there already.")
    ] = False,
) -> None:
    """Transcribe recordings through the whole path, and write `DIR/<stem>.<format>`.

    Example: `whisper-fleet local run talk.mp4 calls/ --out transcripts --formats srt,txt`

    Exit code: 0 only if every recording has its transcript.
    """
    _check_cores(cores)
    wanted = parse_formats(formats)
    with _local_extra():
        from daemon.cli import summary
        from daemon.cli.local_run import transcribe
        from daemon.cli.recordings import find_recordings, name_transcripts
    recordings = find_recordings(audio)
    out.mkdir(parents=True, exist_ok=True)
    stems = name_transcripts(recordings, out, wanted, overwrite=overwrite)
    console = Console(highlight=False)
    work_folder = Path(tempfile.mkdtemp(prefix="whisper-fleet-"))
    with (work_folder / "daemon.log").open("w") as log_file:
        logs.configure(log_file)
        report = asyncio.run(
            transcribe(
                recordings,
                stems,
                out,
                model=model,
                formats=wanted,
                language=language,
                cores=cores,
                work_folder=work_folder,
                console=console,
            )
        )
    summary.show(report, console)
    if report.failed:
        console.print(f"\nThe logs of the daemon and the jobs are in {work_folder}", soft_wrap=True)
        raise typer.Exit(1)
    shutil.rmtree(work_folder)


@app.command()
def up(model: Model = "tiny.en", cores: Cores = 2) -> None:
    """Keep the small cloud up until Ctrl-C, and print what a client needs as shell exports.

    Any AWS client can then be a producer. Example: `whisper-fleet local up`, and in another shell,
    after pasting the exports: `whisper-fleet enqueue talk.mp3 --wait`
    """
    _check_cores(cores)
    with _local_extra():
        from daemon.cli.local_up import stay_up
    logs.configure()
    with tempfile.TemporaryDirectory(prefix="whisper-fleet-") as work_folder:
        asyncio.run(stay_up(model, cores, Path(work_folder)))


@contextmanager
def _local_extra() -> Iterator[None]:
    """Producers install without the emulator and the model; say so when they are asked for."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Problem(
            f"{error.name} is not installed: pip install 'whisper-fleet[local]'"
        ) from error


def _check_cores(cores: int) -> None:
    if cores % 2:
        raise Problem(f"--cores: a chip has two cores, so the number must be even (found {cores})")
