"""What `whisper-fleet deploy` asks of AWS: a stack, its network, its images.

Synchronous, with boto3 and its own retries: one person waits for one call at a time.
"""
