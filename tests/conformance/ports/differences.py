"""Where the simulated ports are known to differ from those over the wire, and why that may be.

A case listed here must fail on the simulated ports; when it passes, its line is to be removed.
"""

DIFFERENCES = {
    "test_a_bucket_that_is_not_there_is_refused": "every bucket is there: which ones a daemon "
    "needs is a matter of its stack, and nothing that goes wrong by and by",
    "test_a_message_that_is_too_large_is_refused": "it is not accepted, as what has characters "
    "that SQS forbids: dead letters leave out what is too much, and nothing else is long",
}
