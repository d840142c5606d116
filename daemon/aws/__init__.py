"""The dispatcher's ports, over the wire: SQS, S3 and Batch, and what each of them allows."""
