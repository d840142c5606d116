"""Recordings as people really send them: odd, damaged, cut off, mislabelled; and what becomes of
each. `SOUND`, `DAMAGED` and `REFUSED` are tables to be read.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from neuron_worker.audio import (
    AudioTooLongError,
    EmptyFileError,
    EncryptedError,
    NoAudioStreamError,
    NotAudioError,
    NothingDecodedError,
)
from tests.media import encoded, id3, signal
from tests.odd_files import (
    CUT_OFF,
    SECONDS,
    SILENCED,
    SKIPPED,
    Heard,
    Make,
    Refused,
    archive,
    empty_wav,
    encrypted_mp4,
    film_without_sound,
    first,
    flipped,
    kind,
    made,
    noise,
    not_finite,
    photograph,
    protected_webm,
    protected_wma,
    replaced,
    two_languages,
    wav,
    with_data_length,
    without,
    without_audio_data,
    zeroed,
)

MAX_SECONDS = 60.0


def text(content: str) -> Make:
    return lambda: content.encode()


SOUND: dict[str, tuple[Make, Heard]] = {
    # What recorders and programs write.
    "telephone, mu-law": (lambda: made("wav", "pcm_mulaw", 8_000), Heard()),
    "telephone, A-law stereo": (lambda: made("wav", "pcm_alaw", 8_000, 2), Heard()),
    "telephone, G.722": (lambda: made("wav", "g722", 16_000), Heard()),
    "dictation, ADPCM": (lambda: made("wav", "adpcm_ima_wav", 22_050), Heard()),
    "dictation, AMR": (lambda: kind("amr"), Heard()),
    "8 bit, 11 kHz": (lambda: made("wav", "pcm_u8", 11_025), Heard()),
    "24 bit, 96 kHz": (lambda: made("wav", "pcm_s24le", 96_000, 2), Heard()),
    "float, 48 kHz": (lambda: made("wav", "pcm_f32le", 48_000, 2), Heard()),
    "double, 192 kHz": (lambda: made("wav", "pcm_f64le", 192_000), Heard()),
    "an odd rate, 7,350 Hz": (lambda: made("wav", "pcm_s16le", 7_350), Heard()),
    "an odd rate, 37,800 Hz": (lambda: made("wav", "pcm_s16le", 37_800), Heard()),
    "quadrophonic": (lambda: made("wav", "pcm_s16le", 16_000, 4), Heard()),
    "5.1": (lambda: made("flac", "flac", 48_000, 6), Heard()),
    "5.1, Dolby Digital": (lambda: made("ac3", "ac3", 48_000, 6, 448_000), Heard()),
    "7.1": (lambda: made("ipod", "aac", 48_000, 8, 384_000), Heard()),
    "RF64": (lambda: made("wav", "pcm_s16le", 16_000, rf64="always"), Heard()),
    "Wave64": (lambda: made("w64", "pcm_s16le", 16_000), Heard()),
    "AIFF": (lambda: made("aiff", "pcm_s16be", 44_100), Heard()),
    "CAF": (lambda: made("caf", "pcm_s16le", 44_100), Heard()),
    "AU": (lambda: made("au", "pcm_s16be", 8_000), Heard()),
    "Apple Lossless": (lambda: made("ipod", "alac", 44_100), Heard()),
    "Ogg Vorbis": (lambda: made("ogg", "vorbis", 44_100, 2), Heard()),
    "MP2": (lambda: made("mp2", "mp2", 44_100, 2, 128_000), Heard()),
    "MP3 at 8 kHz": (lambda: made("mp3", "libmp3lame", 8_000, 1, 16_000), Heard()),
    "MP3 inside WAV": (lambda: made("wav", "libmp3lame", 44_100, 1, 64_000), Heard()),
    "MP4 in fragments": (
        lambda: made("mp4", "aac", 44_100, 1, 64_000, movflags="frag_every_frame+empty_moov"),
        Heard(),
    ),
    "Windows Media": (lambda: kind("wma"), Heard()),
    "a film": (
        lambda: encoded(signal(44_100, 2, SECONDS), "mp4", "aac", 44_100, video=True),
        Heard(),
    ),
    "an old film": (
        lambda: encoded(
            signal(44_100, 1, SECONDS), "avi", "libmp3lame", 44_100, bit_rate=64_000, video=True
        ),
        Heard(),
    ),
    "a film in two languages": (two_languages, Heard()),
    # What people do to their files.
    "a tag of 1 MB": (lambda: id3(bytes(1_000_000)) + kind("mp3"), Heard()),
    "rubbish before an MP3": (lambda: b"HTTP/1.1 200 OK\r\n\r\n" + kind("mp3"), Heard()),
    "two Oggs, one behind the other": (
        lambda: kind("opus") * 2,
        Heard(2 * SECONDS, loud_at=(1, 5, 9, 11, 15, 19)),
    ),
    "two MP3s, one behind the other": (
        lambda: kind("mp3") * 2,
        Heard(2 * SECONDS, loud_at=(1, 5, 9, 11, 15, 19), lost=(0, 0.1), warnings=(SKIPPED,)),
    ),
    "a WAV that says it is empty": (lambda: with_data_length(kind("wav"), 0), Heard()),
    "a WAV that says it is endless": (lambda: with_data_length(kind("wav"), 0xFFFFFFFF), Heard()),
    "a WAV that says it is twice as long": (
        lambda: with_data_length(kind("wav"), 640_000),
        Heard(warnings=("the container declares 20.0 s, but the audio ends after 10.0 s",)),
    ),
    "a WAV that says it is half as long": (
        lambda: with_data_length(kind("wav"), 160_000),
        Heard(5.0, loud_at=(1,)),
    ),
    # What is in them.
    "an offset": (lambda: wav(signal(16_000, 1, SECONDS) + 0.1), Heard()),
    "clipped": (lambda: wav((10 * signal(16_000, 1, SECONDS)).clip(-1, 1)), Heard(loud_at=None)),
    "not a number": (lambda: wav(not_finite()), Heard(loud_at=None)),
    "silence": (lambda: wav(np.zeros((1, 160_000), np.float32)), Heard(loud_at=())),
    "noise": (lambda: wav(noise(0.3)), Heard(loud_at=None)),
    "a twentieth of a second": (lambda: wav(noise(0.3, 0.05)), Heard(0.05, 0.001, loud_at=None)),
    "one sample": (lambda: wav(noise(0.3, 1 / 16_000)), Heard(0.0, 0.001, loud_at=None)),
}

HOLE = (0.55, 0.75)
"""From 5.5 to 7.5 s: behind the second loud place and before the third."""

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "zeros": lambda content: zeroed(content, *HOLE),
    "wrong bytes": lambda content: flipped(content, *HOLE),
    "a part missing": lambda content: without(content, *HOLE),
    "only the first tenth": lambda content: first(content, 0.1),
    "only the first half": lambda content: first(content, 0.5),
    "all but the end": lambda content: first(content, 0.97),
    "all but the start": lambda content: content[len(content) // 3 :],
}

HOLED = Heard(lost=(1.9, 2.4), warnings=(SILENCED,))
MOVED_UP = Heard(8, loud_at=(1, 5, 7))
TENTH, HALF, MOST = (Heard(length, 0.4, loud_at=None) for length in (1, 5, 9.7))
WITHOUT_START = Heard(6.67, loud_at=(1.67, 5.67))
NO_HEADER = Refused(NotAudioError)


def and_(heard: Heard, *warnings: str, lost: tuple[float, float] = (0.0, 0.0)) -> Heard:
    return replace(heard, warnings=warnings, lost=lost)


DAMAGED: dict[str, dict[str, Heard | Refused]] = {
    "wav": {
        "zeros": Heard(),
        "wrong bytes": Heard(),
        "a part missing": and_(MOVED_UP, CUT_OFF),
        "only the first tenth": and_(TENTH, CUT_OFF),
        "only the first half": and_(HALF, CUT_OFF),
        "all but the end": MOST,
        "all but the start": NO_HEADER,
    },
    "flac": {
        "zeros": HOLED,
        "wrong bytes": and_(Heard(), SILENCED, lost=(0.1, 2.4)),
        "a part missing": HOLED,
        "only the first tenth": and_(TENTH, SKIPPED, CUT_OFF),
        "only the first half": and_(HALF, SKIPPED, CUT_OFF),
        "all but the end": and_(MOST, SKIPPED),
        "all but the start": NO_HEADER,
    },
    "mp3": {
        "zeros": HOLED,
        "wrong bytes": Heard(),
        "a part missing": and_(MOVED_UP, SKIPPED, CUT_OFF, lost=(0.0, 0.1)),
        "only the first tenth": and_(TENTH, CUT_OFF),
        "only the first half": and_(HALF, CUT_OFF),
        "all but the end": MOST,
        "all but the start": WITHOUT_START,
    },
    "m4a": {
        "zeros": HOLED,
        "wrong bytes": and_(Heard(), SILENCED, lost=(0.1, 2.4)),
        "a part missing": NO_HEADER,
        "only the first tenth": NO_HEADER,
        "only the first half": NO_HEADER,
        "all but the end": NO_HEADER,
        "all but the start": NO_HEADER,
    },
    "bare aac": {
        "zeros": HOLED,
        "wrong bytes": and_(Heard(), SILENCED, lost=(0.1, 2.4)),
        "a part missing": and_(MOVED_UP, SKIPPED, lost=(0.0, 0.1)),
        "only the first tenth": and_(TENTH, SKIPPED),
        "only the first half": and_(HALF, SKIPPED),
        "all but the end": and_(MOST, SKIPPED),
        "all but the start": WITHOUT_START,
    },
    # One page of Ogg holds a second: its checksum fails as a whole, and a part of it is nothing.
    "opus": {
        "zeros": and_(Heard(loud_at=(1, 9)), SILENCED, lost=(2, 4)),
        "wrong bytes": and_(Heard(loud_at=(1, 9)), SILENCED, lost=(2, 4)),
        "a part missing": and_(Heard(loud_at=(1, 9)), SILENCED, lost=(2, 4)),
        "only the first tenth": NO_HEADER,
        "only the first half": Heard(5, 1, loud_at=None),
        "all but the end": Heard(9, 1, loud_at=None),
        "all but the start": NO_HEADER,
    },
    # One cluster of Matroska holds five seconds, and FFmpeg goes on with the next.
    "webm": {
        "zeros": and_(Heard(loud_at=(1, 5)), SILENCED, lost=(4, 5)),
        "wrong bytes": Heard(),
        "a part missing": and_(Heard(loud_at=(1, 5)), SILENCED, lost=(4, 5)),
        "only the first tenth": and_(TENTH, CUT_OFF),
        "only the first half": and_(HALF, CUT_OFF),
        "all but the end": MOST,
        "all but the start": NO_HEADER,
    },
    "transport stream": {
        "zeros": HOLED,
        "wrong bytes": and_(Heard(), SILENCED, lost=(0.1, 2.4)),
        "a part missing": HOLED,
        "only the first tenth": and_(TENTH, SKIPPED),
        "only the first half": and_(HALF, SKIPPED),
        "all but the end": MOST,
        "all but the start": WITHOUT_START,
    },
    "wma": {
        "zeros": HOLED,
        "wrong bytes": and_(Heard(), SILENCED, lost=(0.1, 2.4)),
        "a part missing": HOLED,
        "only the first tenth": and_(TENTH, SKIPPED),
        "only the first half": and_(HALF, SKIPPED),
        "all but the end": and_(MOST, SKIPPED),
        "all but the start": NO_HEADER,
    },
}

REFUSED: dict[str, tuple[Make, Refused]] = {
    "nothing": (lambda: b"", Refused(EmptyFileError)),
    "one byte": (lambda: b"R", Refused(NotAudioError)),
    "text": (text("These are the minutes of the meeting.\n" * 90), Refused(NotAudioError)),
    "a page": (text("<!DOCTYPE html><title>404</title>" * 90), Refused(NotAudioError)),
    "JSON": (text('{"audio": [0, 1, 2]}'), Refused(NotAudioError)),
    "a PDF": (text("%PDF-1.7\n%\n1 0 obj\n<< /Type /Catalog >>\n" * 50), Refused(NotAudioError)),
    "an archive with a recording": (archive, Refused(NotAudioError)),
    "a photograph": (lambda: photograph("mjpeg"), Refused(NoAudioStreamError, "only video")),
    "a drawing": (lambda: photograph("png"), Refused(NoAudioStreamError, "only video")),
    "zeros": (lambda: bytes(100_000), Refused(NotAudioError)),
    "random bytes": (lambda: np.random.default_rng(3).bytes(100_000), Refused(NotAudioError)),
    "a playlist": (
        text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n/etc/passwd\n#EXT-X-ENDLIST\n"),
        Refused(NotAudioError),
    ),
    "a playlist of an address": (
        text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://127.0.0.1/a.ts\n"),
        Refused(NotAudioError),
    ),
    "a list of files": (text("ffconcat version 1.0\nfile '/a.wav'\n"), Refused(NotAudioError)),
    "a session description": (
        text(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"
        ),
        Refused(NotAudioError),
    ),
    "a film without sound": (film_without_sound, Refused(NoAudioStreamError, "only video")),
    "a WAV without samples": (empty_wav, Refused(NothingDecodedError)),
    "the header of a FLAC": (lambda: first(kind("flac"), 0.002), Refused(NotAudioError)),
    "the header of an Ogg": (lambda: kind("opus")[:100], Refused(NotAudioError)),
    "an MP4 without its index": (
        lambda: first(kind("m4a"), 0.9),
        Refused(NotAudioError, "cut off at a vital place"),
    ),
    "an MP4 that holds zeros": (without_audio_data, Refused(NothingDecodedError, "aac stream")),
    "a WAV of 65 channels": (
        lambda: replaced(kind("wav"), b"\x01\x00\x01\x00\x80\x3e", b"\x01\x00\x41\x00\x80\x3e"),
        Refused(NothingDecodedError),
    ),
    "a WAV at 2 GHz": (
        lambda: replaced(kind("wav"), b"\x80\x3e\x00\x00", b"\x00\x94\x35\x77"),
        Refused(NothingDecodedError),
    ),
    "a recording that is too long": (
        lambda: wav(np.zeros((1, 16_000 * 70), np.float32)),
        Refused(AudioTooLongError),
    ),
    "MP4 with common encryption": (encrypted_mp4, Refused(EncryptedError, "of MP4")),
    "MP4 from the iTunes Store": (
        lambda: replaced(kind("m4a"), b"mp4a", b"drms"),
        Refused(EncryptedError, "FairPlay"),
    ),
    "an Audible book": (
        lambda: replaced(kind("m4a"), b"mp4a", b"aavd"),
        Refused(EncryptedError, "Audible"),
    ),
    "protected Windows Media": (protected_wma, Refused(EncryptedError, "Windows Media DRM")),
    "protected WebM": (protected_webm, Refused(EncryptedError, "WebM")),
}
