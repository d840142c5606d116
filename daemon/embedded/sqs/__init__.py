"""Amazon SQS on one machine: its standard queues, its rules and its protocol.

From the inside out: `queue` is one queue as a state machine without a clock; `model` is all queues
of an account, with dead letters and their way back; `operations` answers requests with it, as AWS
would; `service` puts it behind HTTP.
"""
