"""Uploads of local files, as large as they come."""

import asyncio
from pathlib import Path

import boto3

from neuron_worker.contract import S3Uri


async def upload(path: Path, uri: S3Uri) -> None:
    """Write a file as an object; boto3's transfer manager sends a large one in parts."""
    s3 = boto3.client("s3")
    await asyncio.to_thread(s3.upload_file, str(path), uri.bucket, uri.key)
