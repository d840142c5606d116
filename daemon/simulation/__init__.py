"""The dispatcher's world in memory, on a virtual clock, with faults by seed.

The real daemon runs against it as against AWS: `queue`, `store` and `batch` keep the promises of
the ports, and the services' own semantics; `workers` do what the container does, in no time at all.
`weather` says what goes wrong between a process and a service, `line` makes it so.
"""
