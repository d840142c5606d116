"""What to do about a dead letter, by its reason."""

from daemon.dead_letters import UNKNOWN
from daemon.request import RejectReason
from neuron_worker.contract import Reason

ADVICE: dict[str, str] = {
    Reason.MISSING: "Upload the recording, or correct its location; then redrive, or send a "
    "corrected request and purge the letter.",
    Reason.FORBIDDEN: "Allow the role of the jobs s3:GetObject on the recording (and kms:Decrypt "
    "if it is encrypted by a key of yours); then redrive.",
    Reason.ARCHIVED: "Restore the object from S3 Glacier, wait until it can be read, then redrive.",
    Reason.EMPTY: "Upload the recording again and redrive; purge the letter if there is none.",
    Reason.NOT_AUDIO: "Play the file: if it plays, export it again as FLAC or M4A, upload it in "
    "its place and redrive; else purge the letter.",
    Reason.NO_AUDIO_STREAM: "Export the recording again with its sound, upload it in its place and "
    "redrive.",
    Reason.ENCRYPTED: "Upload a copy without protection in its place and redrive.",
    Reason.TOO_LONG: "Cut the recording and send a request for each part, or raise "
    "WHISPER_FLEET_AUDIO_MAX_SECONDS in the job definition and redrive.",
    Reason.DECODER_FAILED: "Export the recording again as FLAC or M4A, upload it in its place and "
    "redrive. If several recordings of one source fail so, keep one to find out why.",
    Reason.UNSUPPORTED_OPTION: "Send a corrected request, with an option or a profile that the "
    "detail allows, and purge the letter.",
    Reason.RECORD_UNREADABLE: "Put back an older version of the record that the detail names; or "
    "delete it, and with it all that is known of the request. Then redrive.",
    Reason.STORE_REFUSED: "Read in the detail what S3 refused, and whether the recording was "
    "replaced while it was read; then redrive.",
    Reason.INTERNAL_ERROR: "Read the job's log for the traceback; redrive once the worker's image "
    "is mended.",
    Reason.STORE_UNAVAILABLE: "S3 was out of reach again and again: redrive once it is well.",
    Reason.BAD_CREDENTIALS: "Check the role of the job definition, that nothing in it sets other "
    "credentials, and the clock of the instances; then redrive.",
    Reason.INTERRUPTED: "Spot capacity went away again and again: redrive when it is back, or move "
    "the lane to On-Demand instances.",
    Reason.NOT_STARTED: "The jobs end before the request's turn: read the status reason of the "
    "order's job in Batch (image, role, NeuronCores), mend it and redrive.",
    Reason.SUSPECTED: "Workers died with this request among others in hand: redrive it; if it is "
    "at fault, it will be blamed by itself.",
    Reason.GIVEN_UP: "Its workers went by an older dead letter, though it had been sent again: "
    "redrive it.",
    Reason.WORKER_DIED: "Read the end of the job's log. The recording killed its worker each time, "
    "alone: export it again as FLAC or M4A, upload it in its place and redrive.",
    Reason.OUT_OF_MEMORY: "Compare the job definition's memory with the README's figures for a "
    "slot, raise it or lower WHISPER_FLEET_BATCH_SIZE, then redrive.",
    Reason.TIMED_OUT: "Raise the job definition's timeout above what the recording takes, or cut "
    "the recording; then redrive.",
    RejectReason.TOO_LARGE: "A request names its audio by location and holds none: tell the "
    "producer, and purge the letter.",
    RejectReason.NOT_JSON: "Something that is no producer writes to the queue, or one is broken: "
    "find it by the body, have it send JSON, and purge the letter.",
    RejectReason.NOT_A_REQUEST: "The body is JSON but no object: correct the producer, and purge "
    "the letter.",
    RejectReason.INVALID_FIELD: "The detail names each wrong field: correct the producer, send the "
    "request again and purge the letter.",
    RejectReason.UNSUPPORTED_EVENT: "Restrict the bucket's notifications to ObjectCreated events, "
    "and purge the letter.",
    RejectReason.UNKNOWN_PROFILE: "Correct the profile, or give it a lane in the settings; after "
    "that the letter can be redriven as it is.",
    RejectReason.LOCATION_NOT_ALLOWED: "If the location is meant to be allowed, add it to "
    "[security] in the settings, restart the daemon and redrive; else find out who asked for it.",
    RejectReason.CONFLICTING_ID: "Two different requests have one id: send this one under another, "
    "and purge the letter.",
    UNKNOWN: "No daemon decided this: messages were received again and again without being "
    "settled. Look in the daemon's log for what ended it; raise maxReceiveCount of the request "
    "queue's redrive policy far above [retries]; then redrive.",
}
"""By reason: of an outcome, of a rejection, or none at all."""

OTHERWISE = "Read the detail and the log of the job; redrive once the cause is mended."
"""For a reason of another version of the daemon."""
