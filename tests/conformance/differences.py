"""Where the other emulators are known to differ from what AWS documents, and how.

A case listed here must fail with its emulator; when it passes, the difference is gone and its line
with it. A name without brackets is of all the cases under it. There are no lines for ours: it
passes all.
"""

NO_MOVE_TASKS = "StartMessageMoveTask and its kin are not implemented"
NO_REDRIVE_ALLOW = "RedriveAllowPolicy is not looked at"
ATTRIBUTES_UNCHECKED = "message attributes are not checked"
ATTRIBUTES_WEIGHTLESS = "only the body counts in a message's size"
OLD_NAME_FREE = "a deleted queue's name is free at once"
FIFO_PARAMETERS = "a standard queue takes MessageDeduplicationId"
TRACE_DIGEST = "MD5OfMessageSystemAttributes is missing"
HIDDEN_ANYWAY = "a message that is visible again is hidden by its old handle"
REMOVED_CONTENT = "the size of what was removed is told"

MOTO = {
    "test_a_message_that_cannot_be_sent_fails_alone": "any character is taken",
    "test_a_trace_header_and_a_group_travel_with_the_message": TRACE_DIGEST,
    "test_forbidden_characters_are_refused": "any character is taken",
    "test_an_empty_body_is_refused": "a body can be empty",
    "test_attributes_weigh_in_the_size_of_a_message": ATTRIBUTES_WEIGHTLESS,
    "test_an_attribute_that_is_none_is_refused[two stops]": ATTRIBUTES_UNCHECKED,
    "test_an_attribute_that_is_none_is_refused[AWS]": ATTRIBUTES_UNCHECKED,
    "test_an_attribute_that_is_none_is_refused[no number]": ATTRIBUTES_UNCHECKED,
    "test_an_attribute_that_is_none_is_refused[empty]": ATTRIBUTES_UNCHECKED,
    "test_a_message_has_ten_attributes_at_most": ATTRIBUTES_UNCHECKED,
    "test_what_is_for_fifo_queues_is_refused": FIFO_PARAMETERS,
    "test_a_message_that_is_not_in_flight_cannot_be_hidden": HIDDEN_ANYWAY,
    "test_a_deleted_message_cannot_be_hidden": "its handle counts as garbage",
    "test_an_old_handle_does_not_delete": "it deletes, which AWS allows",
    "test_a_queue_says_when_it_was_created_in_whole_seconds": "times have fractions",
    "test_an_attribute_out_of_range_is_refused": "it is taken when the queue is created",
    "test_an_attribute_that_no_queue_has_is_refused": "unknown queue attributes are taken",
    "test_the_name_of_a_deleted_queue_is_taken_for_a_minute": OLD_NAME_FREE,
    "test_a_dead_letter_names_the_queue_it_came_from": "DeadLetterQueueSourceArn is missing",
    "test_a_dead_letter_queue_must_exist": "the code says that the new queue does not exist",
    "test_a_dead_letter_queue_can_refuse_sources": NO_REDRIVE_ALLOW,
    "test_dead_letters_move_back_as_new_messages": NO_MOVE_TASKS,
    "test_a_move_is_slow_when_asked_and_can_be_cancelled": NO_MOVE_TASKS,
    "test_only_a_dead_letter_queue_can_be_moved_from": NO_MOVE_TASKS,
    "test_a_key_is_encoded_as_in_a_form_with_its_slashes": "slashes are encoded as well",
    "test_the_sequencers_of_a_key_ascend": "there is no sequencer",
    "test_a_removal_says_nothing_of_the_content": REMOVED_CONTENT,
    "test_a_multipart_upload_is_told_once": "it is told a second time, as a put",
}

MINISTACK = {
    "test_a_trace_header_and_a_group_travel_with_the_message": TRACE_DIGEST,
    "test_attributes_weigh_in_the_size_of_a_message": ATTRIBUTES_WEIGHTLESS,
    "test_an_attribute_that_is_none_is_refused": ATTRIBUTES_UNCHECKED,
    "test_a_message_has_ten_attributes_at_most": ATTRIBUTES_UNCHECKED,
    "test_what_is_for_fifo_queues_is_refused": FIFO_PARAMETERS,
    "test_a_receive_out_of_range_is_refused[wait]": "a negative wait is taken",
    "test_a_message_that_cannot_be_hidden_fails_alone": "more than 12 hours are taken",
    "test_a_visibility_above_twelve_hours_is_refused": "more than 12 hours are taken",
    "test_a_receive_for_above_twelve_hours_is_refused": "more than 12 hours are taken",
    "test_a_message_is_hidden_for_twelve_hours_in_total_at_most": "there is no limit in total",
    "test_a_message_that_is_not_in_flight_cannot_be_hidden": HIDDEN_ANYWAY,
    "test_a_deleted_message_cannot_be_hidden": "its handle counts as garbage",
    "test_deleting_twice_succeeds": "the second time, the handle counts as garbage",
    "test_deleting_with_an_old_handle_succeeds": "an old handle counts as garbage",
    "test_an_old_handle_does_not_delete": "an old handle counts as garbage",
    "test_a_queue_has_the_defaults_of_aws": "SqsManagedSseEnabled is missing",
    "test_a_name_that_is_none_is_refused": "any name is taken",
    "test_an_attribute_that_no_queue_has_is_refused": "unknown queue attributes are taken",
    "test_no_attributes_are_shown_where_none_are_asked_for": "all are shown",
    "test_a_queue_is_purged_once_a_minute": "it can be purged at any time",
    "test_the_name_of_a_deleted_queue_is_taken_for_a_minute": OLD_NAME_FREE,
    "test_the_sources_of_a_dead_letter_queue_are_listed": "the operation is not implemented",
    "test_a_dead_letter_queue_can_refuse_sources": NO_REDRIVE_ALLOW,
    "test_dead_letters_move_back_as_new_messages": NO_MOVE_TASKS,
    "test_a_move_is_slow_when_asked_and_can_be_cancelled": NO_MOVE_TASKS,
    "test_only_a_dead_letter_queue_can_be_moved_from": NO_MOVE_TASKS,
    "test_a_removal_says_nothing_of_the_content": REMOVED_CONTENT,
}

DIFFERENCES = {"moto": MOTO, "ministack": MINISTACK}
