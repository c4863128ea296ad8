"""Which group a test of the suite belongs to, by its name; the first match wins."""

import re
from pathlib import Path

MODULES = ("s3tests/functional/test_headers.py", "s3tests/functional/test_s3.py")

# The tests of test_headers.py are one group, whatever their names say.
HEADERS = "headers"

# Server-side encryption comes before policy, POST, multipart and copy, since a
# test of SSE measures SSE; the same holds for locks, lifecycle and logging.
PATTERNS = (
    ("object lock", r"object_lock_"),
    ("logging", r"bucket_logging"),
    ("restore and cloud", r"cloud|restore_|read_through"),
    ("lifecycle", r"lifecycle|delete_marker_expiration"),
    ("encryption", r"sse_|encrypt|_enc(_|$)|_kms|_noenc|put_obj_s3_"),
    ("POST object", r"post_object"),
    ("CORS", r"cors_|_cors"),
    ("presigned", r"presigned|x_amz_expires|put_authenticated_expired"),
    ("public access block", r"block_public|public_block|ignore_public_acls"),
    ("ownership", r"ownership|create_bucket_(object_writer|bucket_owner)"),
    # Two of the tests of policies ask IAM who they are, two are of Ceph's tenants.
    ("iam", r"self_denied"),
    ("tenants", r"different_tenant|tenanted_bucket"),
    ("policy", r"policy"),
    ("tagging", r"_tag(s|ging)?(_|$)"),
    ("conditional", r"if_?(none?_?)?match|ifnonmatch|if(un)?modifiedsince|conditional_write"),
    ("ranges", r"ranged_"),
    ("checksum", r"checksum|cksum"),
    ("versioning", r"version|delete_marker"),
    ("copy", r"_copy"),
    ("multipart", r"multipart|_part(_|s|$)"),
    ("ACL", r"_acl|_grant|access_bucket_"),
    ("raw and anonymous", r"object_raw_|anon|unauthenticated|object_put_authenticated|list_buckets_(bad|invalid)_auth"),
    ("listing", r"bucket_list|listv2|basic_key_count|buckets_list|list_buckets|then_list|special_key_names"),
    ("objects and buckets", r"object|bucket|100_continue|atomic_"),
    ("other", r""),
)

# Of these nothing is built yet.
UNBUILT = ("object lock", "logging", "restore and cloud", "iam")

GROUPS = sorted((HEADERS, *(name for name, _ in PATTERNS)), key=lambda name: name in UNBUILT)


def of(name):
    """The group of a test of test_s3.py."""
    return next(group for group, pattern in PATTERNS if re.search(pattern, name))


def tests(checkout):
    """Every test of the two modules, in the order of the files: {name: group}."""
    found = {}
    for module in MODULES:
        source = Path(checkout, module).read_text(encoding="utf-8")
        for name in re.findall(r"^def (test_\w+)\(", source, re.MULTILINE):
            found[name] = HEADERS if module.endswith("test_headers.py") else of(name)
    return found
