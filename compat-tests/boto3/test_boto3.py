"""What boto3 users do, against COMPAT_SERVER. Run by boto3_test.go with pytest."""

import base64
import hashlib
import io
import os
import threading
import urllib.request
import uuid
import zlib

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.client import Config
from botocore.exceptions import ClientError

MIB = 1 << 20


def client(**options):
    return boto3.client(
        "s3",
        endpoint_url=os.environ["COMPAT_SERVER"],
        verify=os.environ.get("COMPAT_CA") if os.environ["COMPAT_SERVER"].startswith("https") else None,
        config=Config(signature_version="s3v4", retries={"max_attempts": 0}, s3={"addressing_style": "path"}, **options),
    )


@pytest.fixture(scope="session")
def s3():
    return client()


@pytest.fixture
def bucket(s3):
    name = "boto-" + uuid.uuid4().hex
    s3.create_bucket(Bucket=name)
    yield name
    for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
        s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
        keys = [{"Key": o["Key"]} for o in page.get("Contents", [])]
        if keys:
            assert "Errors" not in s3.delete_objects(Bucket=name, Delete={"Objects": keys})
    s3.delete_bucket(Bucket=name)


def refused(code, status, call, **arguments):
    with pytest.raises(ClientError) as e:
        call(**arguments)
    assert e.value.response["Error"]["Code"] == code
    assert e.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


@pytest.mark.parametrize("size", [0, 1, 8192, 8193, 65536, 3 * MIB + 1])
def test_round_trip(s3, bucket, size):
    body = os.urandom(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=body)
    assert put["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == body
    assert got["ContentLength"] == size


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksum(s3, bucket, algorithm):
    body = os.urandom(100_000)
    want = {
        "CRC32": lambda: zlib.crc32(body).to_bytes(4, "big"),
        "SHA1": lambda: hashlib.sha1(body).digest(),
        "SHA256": lambda: hashlib.sha256(body).digest(),
    }[algorithm]()
    field = "Checksum" + algorithm
    put = s3.put_object(Bucket=bucket, Key="k", Body=body, ChecksumAlgorithm=algorithm)
    assert put[field] == base64.b64encode(want).decode()
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[field] == put[field]
    assert got["Body"].read() == body
    refused(
        "BadDigest", 400, s3.put_object, Bucket=bucket, Key="k", Body=body,
        **{field: base64.b64encode(bytes(len(want))).decode()},
    )


def test_stream_without_length_known_ahead(s3, bucket):
    body = os.urandom(12 * MIB + 5)
    s3.upload_fileobj(io.BytesIO(body), bucket, "k", Config=TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB))
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-3"')
    out = io.BytesIO()
    s3.download_fileobj(bucket, "k", out, Config=TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=MIB))
    assert out.getvalue() == body


def test_managed_copy_by_parts(s3, bucket):
    body = os.urandom(11 * MIB)
    s3.put_object(Bucket=bucket, Key="src", Body=body, Metadata={"a": "b"}, ContentType="text/x-y")
    config = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
    s3.copy({"Bucket": bucket, "Key": "src"}, bucket, "dst", Config=config)
    assert s3.get_object(Bucket=bucket, Key="dst")["Body"].read() == body


def test_metadata_and_headers(s3, bucket):
    s3.put_object(
        Bucket=bucket, Key="k", Body=b"x", Metadata={"Case": "Kept Value", "n": "1"}, CacheControl="no-cache",
        ContentDisposition='attachment; filename="f"', ContentEncoding="identity", ContentLanguage="en", ContentType="text/plain",
    )
    head = s3.head_object(Bucket=bucket, Key="k")
    assert head["Metadata"] == {"case": "Kept Value", "n": "1"}
    assert head["CacheControl"] == "no-cache"
    assert head["ContentEncoding"] == "identity"
    got = s3.get_object(Bucket=bucket, Key="k", ResponseContentType="text/css", ResponseCacheControl="max-age=1")
    assert (got["ContentType"], got["CacheControl"]) == ("text/css", "max-age=1")


def test_ranges(s3, bucket):
    body = os.urandom(1000)
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    for value, want in [("bytes=0-9", body[:10]), ("bytes=-7", body[-7:]), ("bytes=990-", body[990:])]:
        got = s3.get_object(Bucket=bucket, Key="k", Range=value)
        assert got["Body"].read() == want
        assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    refused("InvalidRange", 416, s3.get_object, Bucket=bucket, Key="k", Range="bytes=1000-")


def test_conditions(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    refused("304", 304, s3.get_object, Bucket=bucket, Key="k", IfNoneMatch=etag)
    refused("PreconditionFailed", 412, s3.get_object, Bucket=bucket, Key="k", IfMatch='"0"')


def test_listing_pages_and_delimiters(s3, bucket):
    keys = sorted(f"{d}/{i:02}" for d in ["a", "b", "c", "ä"] for i in range(15)) + ["root"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    for op in ["list_objects", "list_objects_v2"]:
        pages = list(s3.get_paginator(op).paginate(Bucket=bucket, PaginationConfig={"PageSize": 7}))
        got = [o["Key"] for p in pages for o in p.get("Contents", [])]
        assert got == sorted(keys, key=lambda k: k.encode())
        pages = list(s3.get_paginator(op).paginate(Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": 2}))
        assert [c["Prefix"] for p in pages for c in p.get("CommonPrefixes", [])] == ["a/", "b/", "c/", "ä/"]
        assert [o["Key"] for p in pages for o in p.get("Contents", [])] == ["root"]


def test_keys_with_any_character(s3, bucket):
    for key in ["a b", "a+b", "a%20b", "a&b=c?d#e", "ü/日本", "\U0001f600", "a//b", "<&>\"'", "tab\tnew\nline"]:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
        assert key in [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]


def test_multipart_by_hand(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")["UploadId"]
    body, parts = os.urandom(5 * MIB), []
    for n, data in [(1, body), (2, b"end")]:
        part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=n, Body=data, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": n, "ETag": part["ETag"], "ChecksumSHA256": part["ChecksumSHA256"]})
    assert [p["Size"] for p in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)["Parts"]] == [5 * MIB, 3]
    refused(
        "InvalidPartOrder", 400, s3.complete_multipart_upload, Bucket=bucket, Key="k", UploadId=upload,
        MultipartUpload={"Parts": [parts[1], parts[0]]},
    )
    done = s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
    assert done["ChecksumSHA256"].endswith("-2")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body + b"end"
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=["ObjectParts", "Checksum", "ObjectSize"])
    assert attributes["ObjectParts"]["TotalPartsCount"] == 2
    assert s3.get_object(Bucket=bucket, Key="k", PartNumber=2)["Body"].read() == b"end"


def test_presigned_urls(s3, bucket):
    context = None
    if os.environ["COMPAT_SERVER"].startswith("https"):
        import ssl

        context = ssl.create_default_context(cafile=os.environ["COMPAT_CA"])
    put = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "ü k"}, ExpiresIn=60)
    urllib.request.urlopen(urllib.request.Request(put, data=b"body", method="PUT"), context=context).read()
    get = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "ü k"}, ExpiresIn=60)
    assert urllib.request.urlopen(get, context=context).read() == b"body"


def test_delete_objects(s3, bucket):
    keys = [f"k{i}" for i in range(50)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    out = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys + ["missing"]]})
    assert sorted(d["Key"] for d in out["Deleted"]) == sorted(keys + ["missing"])
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_errors(s3, bucket):
    refused("NoSuchKey", 404, s3.get_object, Bucket=bucket, Key="none")
    refused("404", 404, s3.head_object, Bucket=bucket, Key="none")
    refused("NoSuchBucket", 404, s3.list_objects_v2, Bucket="missing-" + uuid.uuid4().hex)
    refused("NoSuchUpload", 404, s3.list_parts, Bucket=bucket, Key="k", UploadId="bm8")
    refused("SignatureDoesNotMatch", 403, boto3.client(
        "s3", endpoint_url=os.environ["COMPAT_SERVER"], aws_secret_access_key="wrong", aws_access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        verify=os.environ.get("COMPAT_CA") if os.environ["COMPAT_SERVER"].startswith("https") else None,
    ).list_buckets)


def test_checksums_only_when_required(bucket):
    s3 = client(request_checksum_calculation="when_required", response_checksum_validation="when_required")
    s3.put_object(Bucket=bucket, Key="k", Body=b"plain")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"plain"


def test_threads_share_a_client(s3, bucket):
    failures = []

    def work(n):
        try:
            for i in range(20):
                body = os.urandom(2000 + n)
                s3.put_object(Bucket=bucket, Key=f"{n}/{i}", Body=body)
                assert s3.get_object(Bucket=bucket, Key=f"{n}/{i}")["Body"].read() == body
        except Exception as e:  # pylint: disable=broad-except
            failures.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not failures
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 160


def test_resource_interface(bucket):
    resource = boto3.resource(
        "s3", endpoint_url=os.environ["COMPAT_SERVER"],
        verify=os.environ.get("COMPAT_CA") if os.environ["COMPAT_SERVER"].startswith("https") else None,
        config=Config(s3={"addressing_style": "path"}),
    )
    b = resource.Bucket(bucket)
    b.put_object(Key="x/1", Body=b"1")
    b.put_object(Key="x/2", Body=b"2")
    assert [o.key for o in b.objects.filter(Prefix="x/")] == ["x/1", "x/2"]
    b.objects.all().delete()
    assert not list(b.objects.all())
