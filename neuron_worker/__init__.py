"""The worker container: one process, one NeuronCore, one shard of audio to transcribe."""
