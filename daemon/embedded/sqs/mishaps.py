"""What SQS says can go wrong with a standard queue, as probabilities.

Sources: "at-least-once delivery" and "best-effort ordering" (GUIDE, standard-queues.html), and a
message received although it was deleted (API, API_DeleteMessage).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mishaps:
    """Each is the probability, from 0 to 1, that it happens where it can.

    `delivered_twice`: a delivered message can be received once more while it is hidden.
    `deleted_in_vain`: a deleted message stays hidden as it was and then comes back, once.
    `out_of_order`: the message whose turn it is goes to the end of the line instead.
    """

    delivered_twice: float = 0.0
    deleted_in_vain: float = 0.0
    out_of_order: float = 0.0
