"""AWS Batch on one machine: its protocol, its rules, and jobs as real processes.

From the inside out: `model` is Batch as a state machine without clock or processes; `operations`
answers requests with it, as AWS would; `driver` gives it a clock and processes; `service` puts it
behind HTTP.
"""
