"""The bucket that a stack is launched and its images are built from: made when it is missing."""

from typing import Any

import boto3

from daemon.aws.deployment.refusal import in_words

TEMPLATE_KEY = "template.yaml"
SOURCE_KEY = "source.zip"

EVERYTHING_BLOCKED = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}


class Uploads:
    """`<stack>-build-<account>-<region>`. Every method may raise `Refused`."""

    def __init__(self, stack_name: str) -> None:
        self._s3: Any = boto3.client("s3")
        with in_words("sts"):
            account = boto3.client("sts").get_caller_identity()["Account"]
        self._region = self._s3.meta.region_name
        self.bucket = f"{stack_name}-build-{account}-{self._region}"

    def make(self) -> bool:
        """Make the bucket, unless it is there; whether it was made now."""
        owned = {one["Name"] for one in self._buckets()}
        if self.bucket in owned:
            return False
        where = {"LocationConstraint": self._region}
        # us-east-1 is the one region that must not be named (S3 API reference, CreateBucket).
        configured = {} if self._region == "us-east-1" else {"CreateBucketConfiguration": where}
        with in_words("s3"):
            self._s3.create_bucket(Bucket=self.bucket, **configured)
            self._s3.put_public_access_block(
                Bucket=self.bucket, PublicAccessBlockConfiguration=EVERYTHING_BLOCKED
            )
            self._s3.put_bucket_versioning(
                Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"}
            )
        return True

    def put_template(self, template: str) -> str:
        """Upload a template; returns its URL, which names this very version."""
        with in_words("s3"):
            version = self._s3.put_object(
                Bucket=self.bucket, Key=TEMPLATE_KEY, Body=template.encode()
            ).get("VersionId")
        url = f"https://{self.bucket}.s3.{self._region}.amazonaws.com/{TEMPLATE_KEY}"
        return f"{url}?versionId={version}" if version else url

    def put_source(self, archive: bytes) -> None:
        """Upload what images are built from."""
        with in_words("s3"):
            self._s3.put_object(Bucket=self.bucket, Key=SOURCE_KEY, Body=archive)

    def remove(self) -> None:
        """Delete the bucket with all that is in it."""
        with in_words("s3"):
            versions = self._s3.list_object_versions(Bucket=self.bucket)
            for one in [*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())]:
                self._s3.delete_object(
                    Bucket=self.bucket, Key=one["Key"], VersionId=one["VersionId"]
                )
            self._s3.delete_bucket(Bucket=self.bucket)

    def _buckets(self) -> list[dict[str, Any]]:
        with in_words("s3"):
            return list(self._s3.list_buckets()["Buckets"])
