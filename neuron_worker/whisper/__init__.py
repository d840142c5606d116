"""Whisper: checkpoints, static graphs, the runtimes that run them, and decoding."""
