"""The dispatcher: from requests on a queue to transcripts in S3, by way of AWS Batch."""
