"""Digests that the server declares: right ones, wrong ones, and others'.

They are asked for with --want-digest, so what is declared is computed.
"""
import base64
import hashlib

import bodies
from http1 import Cut
from registry import sin

SMALL = bodies.version("a", 24_000)
LARGE = bodies.version("a", 300_000)
OTHER = bodies.version("b", 24_000)
LARGE_OTHER = bodies.version("b", 300_000)


def base(algorithm, content):
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode()


def says(source, algorithm, agrees, content=None, computed=None):
    """Looks at `declared`: one item, like this."""
    def look(items):
        if not items or len(items) != 1:
            return False
        item = items[0]
        digest = content is None or \
            item["digest"] == hashlib.new(algorithm, content).hexdigest()
        other = computed is None or item.get("computed") == hashlib.new(
            algorithm, computed).hexdigest()
        return digest and other and item.get("agrees") == agrees and \
            (item["source"], item["algorithm"]) == (source, algorithm)
    return look


def declares(path, content, headers, declared, agrees):
    @sin(f"declared/{path}", outcome="ok", body=content, declared=declared,
         digest_agrees=agrees)
    async def handler(connection, request, _count):
        if "want-digest" in request.headers:
            assert "sha-256" in request.headers["want-repr-digest"]
        await connection.answer(200, content, headers)


for size, content in (("", LARGE), ("-small", SMALL)):
    declares("right" + size, content,
             [("Repr-Digest", f"sha-512=:{base('sha512', content)}:")],
             says("repr-digest", "sha512", True, content), True)
    declares("wrong" + size, content,
             [("Repr-Digest", f"sha-512=:{base('sha512', b'x')}:")],
             says("repr-digest", "sha512", False, b"x", content), False)
    declares("md5" + size, content, [("Content-MD5", base("md5", content))],
             says("content-md5", "md5", True, content), True)
    declares("wrong-md5" + size, content, [("Content-MD5", base("md5", b""))],
             says("content-md5", "md5", False, b"", content), False)
    declares("digest" + size, content,
             [("Digest", f"sha-256={base('sha256', content)}")],
             says("digest", "sha256", True, content), True)
    declares("content-digest" + size, content,
             [("Content-Digest", f"sha-256=:{base('sha256', content)}:")],
             says("content-digest", "sha256", True, content), True)
    declares("google" + size, content,
             [("x-goog-hash", f"md5={base('md5', content)}")],
             says("x-goog-hash", "md5", True, content), True)
    declares("amazon" + size, content,
             [("x-amz-checksum-sha1", base("sha1", content))],
             says("x-amz-checksum", "sha1", True, content), True)

# Recorded, and compared with nothing.
declares("crc32c", SMALL, [("x-goog-hash", "crc32c=n03x6A==")],
         lambda items: items[0]["digest"] == "9f4df1e8", None)
declares("list-of-parts", SMALL,
         [("x-amz-checksum-sha256", base("sha256", b"parts") + "-3")],
         says("x-amz-checksum", "sha256", None, b"parts"), None)
declares("decoded-on-its-way", SMALL,
         [("x-goog-hash", f"md5={base('md5', b'gzip')}"),
          ("x-goog-stored-content-encoding", "gzip")],
         says("x-goog-hash", "md5", None, b"gzip"), None)
declares("nonsense", SMALL,
         [("Repr-Digest", "sha-512=:AAAA:"), ("Digest", "sha-256"),
          ("Content-MD5", hashlib.md5(SMALL).hexdigest())], None, None)


@sin("declared/two", outcome="ok", body=SMALL, digest_agrees=False)
async def two(connection, _request, _count):
    """One of them agrees, one does not: they do not agree."""
    await connection.answer(200, SMALL, [
        ("Content-MD5", base("md5", SMALL)),
        ("Digest", f"sha-256={base('sha256', b'')}")])


@sin("declared/trailer", outcome="ok", body=SMALL, digest_agrees=True,
     declared=says("repr-digest", "sha512", True, SMALL))
async def trailer(connection, _request, _count):
    await connection.send(
        connection.head(200, [("Transfer-Encoding", "chunked"),
                              ("Trailer", "Repr-Digest")]),
        b"%x\r\n" % len(SMALL), SMALL, b"\r\n0\r\n",
        f"Repr-Digest: sha-512=:{base('sha512', SMALL)}:\r\n\r\n".encode())


def resumed(path, content):
    @sin(f"declared/{path}", outcome="ok", body=content, resumes=1,
         digest_agrees=True, declared=says("repr-digest", "sha256", True))
    async def handler(connection, request, count):
        """What the part declares is of the part alone."""
        etag = ("ETag", '"a"')
        if count == 0:
            await connection.send(connection.head(200, [
                ("Content-Length", len(content)), etag,
                ("Repr-Digest", f"sha-256=:{base('sha256', content)}:")]),
                content[:len(content) // 2])
            raise Cut
        start = request.range_start()
        part = content[start:]
        await connection.answer(206, part, [
            etag, ("Content-Digest", f"sha-256=:{base('sha256', part)}:"),
            ("Content-Range",
             f"bytes {start}-{len(content) - 1}/{len(content)}")])


resumed("resumed", LARGE)
resumed("resumed-small", SMALL)


def changed(path, old, new, declared, agrees):
    """The new version declares something else, by another algorithm."""
    @sin(f"declared/{path}", outcome="ok", body=new, resumes=1,
         declared=declared, digest_agrees=agrees)
    async def handler(connection, _request, count):
        if count == 0:
            await connection.send(connection.head(200, [
                ("Content-Length", len(old)), ("ETag", '"a"'),
                ("Content-MD5", base("md5", old))]), old[:len(old) // 2])
            raise Cut
        await connection.answer(200, new, [
            ("ETag", '"b"'), ("Digest", f"sha-256={base('sha256', new)}")])


changed("changed-small", SMALL, OTHER, says("digest", "sha256", True, OTHER),
        True)
# What has left had its algorithms: another one is not computed any more.
changed("changed", LARGE, LARGE_OTHER,
        says("digest", "sha256", None, LARGE_OTHER), None)
