"""`ObjectStore` in a bucket of S3, or of any store that keeps S3's rules.

    store = S3Store("agreements", "production", lock="COMPLIANCE")
    store.check()

* **One wins.** `create` is a PUT with `If-None-Match: *`. 412 means that the key is taken; 409 that another
  write was under way and that we shall try again (Amazon S3 User Guide, "Conditional requests").
* **Retries are ours.** botocore would send a lost write again and report the 412 that its own first attempt
  caused. Each `create` therefore carries an id of its own in the object's metadata: after an attempt with no
  clear answer, a 412 is settled by looking whose write is there. So a caller need not know its own writes
  again, unless this process dies in between (the ledger's entry ids and the blobs' hashes serve that).
* **Checksums.** Content-MD5 lets the store refuse a damaged body (and Object Lock demands it); the SHA-256 in
  the metadata is checked at every `get`, however the bytes were changed.
* **Locks.** With `retain_until` and a lock mode, no one (`COMPLIANCE`), or no one without a special permission
  (`GOVERNANCE`), can remove those bytes before that time. S3 locks *versions*: `delete` and `put` on a locked
  key hide the version behind a newer one, and it can be brought back.

In a bucket with versions, what was deleted or replaced stays as a noncurrent version, markers of ended work
included: give the bucket a lifecycle rule that expires noncurrent versions and delete markers.

Credentials come the usual AWS way: environment, profile, or the machine's role.
"""

from service.adapters.s3.store import LockMode, S3Store

__all__ = ["LockMode", "S3Store"]
