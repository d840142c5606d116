"""No recording reaches anything but its own bytes, whatever it names.

Each file is opened without protection first, to see that FFmpeg would do as it says.
"""

import functools
import io
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from neuron_worker.audio import AudioError, AudioReader
from tests.media import encoded, signal

TAKEN_ANYWHERE = {
    "protocol_whitelist": "file,http,tcp,udp,rtp,concat,subfile,crypto,data,async,cache",
    "allowed_extensions": "ALL",
    "extension_picky": "0",
    "safe": "0",
}


class Server:
    """A port of this machine that counts who comes."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/a.ts"

    def visits(self) -> int:
        """How many have come since it was last asked."""
        count = 0
        while True:
            try:
                self._listener.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "secret.wav"
    path.write_bytes(encoded(signal(16_000, 1, 1.0), "wav", "pcm_s16le", 16_000))
    return path


def hls(uri: str, tag: str = "") -> str:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n{tag}#EXTINF:9,\n{uri}\n#EXT-X-ENDLIST\n"


def ffconcat(uri: str) -> str:
    return f"ffconcat version 1.0\nfile '{uri}'\n"


Make = Callable[[str, Path], str]

FILES: dict[str, tuple[str, Make]] = {
    "HLS of an address": ("hls", lambda url, _: hls(url)),
    "HLS of a playlist of an address": (
        "hls",
        lambda url, _: f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{url}.m3u8\n",
    ),
    "HLS with a key of an address": (
        "hls",
        lambda url, _: hls("data:audio/x,aaaa", f'#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n'),
    ),
    "HLS with a map of an address": (
        "hls",
        lambda url, _: hls("x.ts", f'#EXT-X-MAP:URI="{url}"\n'),
    ),
    "HLS of a path": ("hls", lambda _, path: hls(str(path))),
    "HLS of a file URL": ("hls", lambda _, path: hls(f"file://{path}")),
    "a list of an address": ("concat", lambda url, _: ffconcat(url)),
    "a list of a path": ("concat", lambda _, path: ffconcat(str(path))),
    "a list of a file beside it": ("concat", lambda _, path: ffconcat(path.name)),
    "a list of a part of a file": (
        "concat",
        lambda _, path: ffconcat(f"subfile,,start,0,end,32000,,:{path}"),
    ),
    "a list of files joined": ("concat", lambda _, path: ffconcat(f"concat:{path}|{path}")),
    "a list of a cached file": ("concat", lambda _, path: ffconcat(f"async:{path}")),
    "a session description": (
        "sdp",
        lambda *_: (
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
            "m=audio 40004 RTP/AVP 0\n"
        ),
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_names_others_reaches_none_of_them(
    name: str, server: Server, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(secret.parent)
    demuxer, make = FILES[name]
    content = make(server.url, secret).encode()
    assert reached_without_protection(demuxer, content) or server.visits(), "it names nothing"
    server.visits()

    with pytest.raises(AudioError):
        read(content)
    # Also where FFmpeg takes the file for what it wants to be without a look at its name.
    monkeypatch.setattr(av, "open", functools.partial(av.open, format=demuxer))
    with pytest.raises(AudioError):
        read(content)

    assert server.visits() == 0


def read(content: bytes) -> None:
    with AudioReader(io.BytesIO(content), max_seconds=60) as reader:
        list(reader.blocks())


def reached_without_protection(demuxer: str, content: bytes) -> bool:
    """Whether FFmpeg finds audio by itself; who waits for an answer is not waited for."""
    try:
        with av.open(
            io.BytesIO(content), format=demuxer, options=TAKEN_ANYWHERE, timeout=(1.0, 1.0)
        ) as container:
            return bool(container.streams.audio)
    except av.FFmpegError:
        return False
