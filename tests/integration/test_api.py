"""A client generated from proto/urlsum.proto, in Python."""
import hashlib
import importlib.util
import subprocess
import sys

import pytest
import zmq

from harness import GIVE_UP_S, ROOT


@pytest.fixture(scope="module")
def api(tmp_path_factory):
    """The module that protoc makes of the contract. Once a process: its
    messages are registered by name."""
    if "urlsum_pb2" in sys.modules:
        return sys.modules["urlsum_pb2"]
    folder = tmp_path_factory.mktemp("proto")
    subprocess.run(["protoc", f"--python_out={folder}",
                    f"--proto_path={ROOT / 'proto'}", "urlsum.proto"],
                   check=True, timeout=60)
    spec = importlib.util.spec_from_file_location("urlsum_pb2",
                                                  folder / "urlsum_pb2.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["urlsum_pb2"] = module
    spec.loader.exec_module(module)
    return module


class Client:
    """One socket, one request at a time."""

    def __init__(self, api, endpoint, kind=zmq.DEALER, curve=None):
        self.api = api
        self.context = zmq.Context()
        self.socket = self.context.socket(kind)
        self.socket.setsockopt(zmq.LINGER, 0)
        if curve: # the broker's public key, and one's own pair
            self.socket.curve_serverkey, self.socket.curve_publickey, \
                self.socket.curve_secretkey = \
                (key.encode("ascii") for key in curve)
        self.socket.connect(endpoint)
        self.id = 0

    def close(self):
        self.socket.close()
        self.context.term()

    def send(self, **what):
        self.id += 1
        request = self.api.Request(id=self.id, version=1, **what)
        self.socket.send(request.SerializeToString())
        return self.id

    def receive(self):
        assert self.socket.poll(GIVE_UP_S * 1000), "no reply"
        return self.api.Reply.FromString(self.socket.recv())

    def ask(self, **what):
        number = self.send(**what)
        reply = self.receive()
        assert reply.id == number
        return reply


@pytest.fixture
def client(api, module_fleet):
    ours = Client(api, module_fleet.endpoints["client"])
    yield ours
    ours.close()


def test_whole_dialogue(api, client, nginx):
    batch = client.ask(create=api.CreateBatch(
        algorithms=["sha512", "md5"])).batch
    assert batch.id and batch.number and not batch.closed
    urls = [nginx.url(f"made/small-{n}").encode() for n in range(500)]
    for first in range(0, 500, 100):
        reply = client.ask(submit=api.SubmitUrls(
            batch=batch.id, first_seq=first, urls=urls[first:first + 100]))
        assert reply.batch.submitted == first + 100
    # Repeating is harmless, a gap is not.
    again = client.ask(submit=api.SubmitUrls(batch=batch.id, first_seq=0,
                                             urls=urls[:100]))
    assert again.batch.submitted == 500
    gap = client.ask(submit=api.SubmitUrls(batch=batch.id, first_seq=501,
                                           urls=urls[:1]))
    assert gap.error.code == api.Error.CONFLICT
    wrong = client.ask(close=api.CloseBatch(batch=batch.id, size=499))
    assert wrong.error.code == api.Error.CONFLICT
    client.ask(close=api.CloseBatch(batch=batch.id, size=500))
    records = {}
    cursor = 0
    while True:
        page = client.ask(results=api.GetResults(
            batch=batch.id, after=cursor, max=70, wait_ms=10000)).results
        assert len(page.records) <= 70
        for record in page.records:
            assert record.seq not in records
            records[record.seq] = record
        cursor = page.cursor
        if page.end:
            break
    assert sorted(records) == list(range(500))
    for seq, record in records.items():
        data = (nginx.made / f"small-{seq}").read_bytes()
        assert record.url == urls[seq]
        assert record.outcome == "ok" and record.size == len(data)
        assert list(record.digests) == [hashlib.sha512(data).digest(),
                                        hashlib.md5(data).digest()]
        assert record.facts.fetcher and record.facts.hasher
    status = client.ask(status=api.GetStatus(batch=batch.id)).batch
    assert (status.submitted, status.done, status.failed) == (500, 500, 0)
    assert status.finished_ms > 0 and status.closed


def test_results_in_order(api, client, nginx):
    batch = client.ask(create=api.CreateBatch()).batch
    assert list(batch.algorithms) == ["sha512"]
    urls = [nginx.url(f"x?{n}").encode() for n in range(50)]
    client.ask(submit=api.SubmitUrls(batch=batch.id, urls=urls))
    client.ask(close=api.CloseBatch(batch=batch.id, size=50))
    seen = []
    cursor = 0
    for _ in range(200):
        page = client.ask(results=api.GetResults(
            batch=batch.id, after=cursor, by_seq=True, wait_ms=5000)).results
        seen += [record.seq for record in page.records]
        cursor = page.cursor
        if page.end:
            break
    assert seen == list(range(50))


def test_same_id_is_the_same_batch(api, client, nginx):
    first = client.ask(create=api.CreateBatch(id="of-mine.1")).batch
    client.ask(submit=api.SubmitUrls(batch="of-mine.1",
                                     urls=[nginx.url("x").encode()]))
    again = client.ask(create=api.CreateBatch(id="of-mine.1")).batch
    assert again.number == first.number and again.submitted == 1
    other = client.ask(create=api.CreateBatch(id="of-mine.1",
                                              algorithms=["md5"]))
    assert other.error.code == api.Error.CONFLICT
    client.ask(cancel=api.CancelBatch(batch="of-mine.1"))


def test_errors(api, client):
    def code(**what):
        return client.ask(**what).error.code
    error = api.Error
    assert code(status=api.GetStatus(batch="none")) == error.NO_SUCH_BATCH
    assert code(results=api.GetResults(batch="none")) == error.NO_SUCH_BATCH
    assert code(cancel=api.CancelBatch(batch="none")) == error.NO_SUCH_BATCH
    assert code(submit=api.SubmitUrls(batch="none", urls=[b"x"])) == \
        error.NO_SUCH_BATCH
    assert code(create=api.CreateBatch(id="a b")) == error.BAD_REQUEST
    assert code(create=api.CreateBatch(id="a" * 65)) == error.BAD_REQUEST
    assert code(create=api.CreateBatch(algorithms=["a b"])) == \
        error.BAD_REQUEST
    assert code() == error.BAD_REQUEST
    batch = client.ask(create=api.CreateBatch()).batch.id
    assert code(submit=api.SubmitUrls(batch=batch, urls=[b"x"] * 4097)) == \
        error.TOO_LARGE
    many_bytes = [b"x" * 4096] * 32 + [b"x"]
    too_large = code(submit=api.SubmitUrls(batch=batch, urls=many_bytes))
    assert too_large == error.TOO_LARGE
    # Another version is refused by name.
    client.socket.send(api.Request(
        id=77, version=2, list=api.ListBatches()).SerializeToString())
    reply = client.receive()
    assert reply.id == 77 and reply.error.code == error.VERSION
    client.ask(cancel=api.CancelBatch(batch=batch))


def test_wait_for_nothing(api, client):
    """A wait ends in time, also when nothing comes; others are not held up."""
    batch = client.ask(create=api.CreateBatch()).batch.id
    slow = client.send(results=api.GetResults(batch=batch, wait_ms=1500))
    quick = client.send(status=api.GetStatus(batch=batch))
    assert client.receive().id == quick
    reply = client.receive()
    assert reply.id == slow
    assert not reply.results.records and not reply.results.end
    client.ask(cancel=api.CancelBatch(batch=batch))


def test_req_socket(api, module_fleet):
    """A REQ socket adds an empty delimiter, which comes back."""
    client = Client(api, module_fleet.endpoints["client"], zmq.REQ)
    workers = client.ask(workers=api.GetWorkers()).workers.workers
    assert {worker.role for worker in workers} == {"fetcher", "hasher"}
    client.close()


def test_list_of_batches(api, client):
    made = [client.ask(create=api.CreateBatch()).batch.id for _ in range(3)]
    listed = client.ask(list=api.ListBatches(max=1000)).list.batches
    assert set(made) <= {batch.id for batch in listed}
    numbers = [batch.number for batch in listed]
    assert numbers == sorted(numbers)
    rest = client.ask(list=api.ListBatches(after=numbers[-2])).list.batches
    assert [batch.number for batch in rest] == numbers[-1:]
    for batch in made:
        client.ask(cancel=api.CancelBatch(batch=batch))
    listed = client.ask(list=api.ListBatches(only_unfinished=True)).list
    for batch in made: # an open batch ends by its close
        client.ask(close=api.CloseBatch(batch=batch, size=0))
    listed = client.ask(list=api.ListBatches(only_unfinished=True)).list
    assert not set(made) & {batch.id for batch in listed.batches}


def test_many_requests_at_once(api, client):
    ids = {client.send(workers=api.GetWorkers()) for _ in range(16)}
    assert {client.receive().id for _ in range(16)} == ids


def fnv1a(urls):
    """urlsum.proto's hash of a list."""
    value = 0xcbf29ce484222325
    for byte in b"".join(url + b"\n" for url in urls):
        value = (value ^ byte) * 0x100000001b3 & (1 << 64) - 1
    return value


def test_list_hash(api, client):
    urls = [b"http://127.0.0.1:1/", b"", b"\xff\x00", b"x" * 66000]
    kept = urls[:3] + [b"x" * 65537]
    batch = client.ask(create=api.CreateBatch()).batch
    assert batch.list_hash == fnv1a([])
    client.ask(submit=api.SubmitUrls(batch=batch.id, urls=urls))
    status = client.ask(status=api.GetStatus(batch=batch.id)).batch
    assert status.list_hash == fnv1a(kept)
    wrong = client.ask(close=api.CloseBatch(batch=batch.id, size=4,
                                            list_hash=fnv1a(kept[::-1])))
    assert wrong.error.code == api.Error.CONFLICT
    assert "not the one" in wrong.error.text
    for _ in range(2):
        right = client.ask(close=api.CloseBatch(batch=batch.id, size=4,
                                                list_hash=fnv1a(kept)))
        assert right.batch.closed
    client.ask(cancel=api.CancelBatch(batch=batch.id))


def finished(api, client, urls, **options):
    batch = client.ask(create=api.CreateBatch(
        options=api.BatchOptions(retry=0, **options))).batch.id
    client.ask(submit=api.SubmitUrls(batch=batch, urls=urls))
    client.ask(close=api.CloseBatch(batch=batch, size=len(urls)))
    assert client.ask(status=api.GetStatus(
        batch=batch, wait_ms=30000)).batch.finished_ms
    return batch


def test_retry_remove_and_waiting(api, client, origin):
    error = api.Error
    urls = [origin.url(f"flaky/api-{n}/1/502").encode() for n in range(3000)]
    batch = finished(api, client, urls)
    # Two at once: each failure goes back once.
    for _ in range(2):
        client.send(retry=api.RetryBatch(batch=batch, only=["502", "dns"]))
    replies = [client.receive().batch for _ in range(2)]
    assert sum(reply.requeued for reply in replies) == 3000
    assert not any(reply.finished_ms for reply in replies)
    status = client.ask(status=api.GetStatus(batch=batch,
                                             wait_ms=30000)).batch
    assert (status.done, status.failed) == (3000, 0)
    waiting = client.ask(waiting=api.GetWaiting(batch=batch)).waiting
    assert not waiting.jobs and waiting.batch.id == batch
    assert client.ask(retry=api.RetryBatch(batch=batch)).batch.requeued == 0
    assert client.ask(remove=api.RemoveBatch(batch=batch)).batch.id == batch
    for what in ({"remove": api.RemoveBatch(batch=batch)},
                 {"retry": api.RetryBatch(batch=batch)},
                 {"waiting": api.GetWaiting(batch=batch)}):
        assert client.ask(**what).error.code == error.NO_SUCH_BATCH


def test_retry_errors(api, client):
    error = api.Error
    batch = client.ask(create=api.CreateBatch()).batch.id
    assert client.ask(retry=api.RetryBatch(
        batch=batch)).error.code == error.CONFLICT
    assert client.ask(remove=api.RemoveBatch(
        batch=batch)).error.code == error.CONFLICT
    for only in (["ok"], ["cancelled"], [""], ["5x"], ["5x3"], ["600"],
                 ["x" * 1000], ["\u00e4" * 40]):
        assert client.ask(retry=api.RetryBatch(
            batch=batch, only=only)).error.code == error.BAD_REQUEST
    assert client.ask(retry=api.RetryBatch(
        batch=batch, only=["dns"] * 65)).error.code == error.TOO_LARGE
    client.ask(cancel=api.CancelBatch(batch=batch))


def test_request_options(api, client):
    """Bad ones are refused, whoever sends them; replies keep them back."""
    def create(batch="", **profile):
        options = api.BatchOptions(profile=api.Profile(**profile))
        return client.ask(create=api.CreateBatch(id=batch, options=options))

    for bad in ({"headers": [b"X-A: b\r\nX-B: c"]}, {"headers": [b"X-A: \0"]},
                {"headers": [b"X-A: b\n"]}, {"headers": [b""]},
                {"headers": [b"Range: bytes=1-"]}, {"headers": [b"A: b"] * 65},
                {"headers": [b"A: " + b"x" * 8190]},
                {"headers": [b"A: " + b"x" * 8000] * 5},
                {"user_agent": b"a\nb"}, {"user": b"me"}, {"user": b"m:\r"},
                {"proxy": b"gopher://x"}, {"cacert": b"none"},
                {"resolve": [b"x:80:y"]}, {"resolve": [b"x:80:::1"] * 65}):
        reply = create(**bad)
        assert reply.WhichOneof("what") == "error", bad
        assert reply.error.code == api.Error.BAD_REQUEST, bad
        assert "x" * 20 not in reply.error.text
    for bad in ({"ip_version": 5}, {"http_version": 10}):
        reply = client.ask(create=api.CreateBatch(
            options=api.BatchOptions(**bad)))
        assert reply.error.code == api.Error.BAD_REQUEST
    pem = b"-----BEGIN CERTIFICATE-----\n" + b"x" * 131000
    reply = create("private-options", headers=[b"X-A: b"] * 64, user=b"me:x",
                   cacert=pem[:131072])
    assert not reply.batch.options.HasField("profile")
    status = client.ask(status=api.GetStatus(batch="private-options"))
    assert not status.batch.options.HasField("profile")
    # Asked for again in the same words, and in others.
    assert create("private-options", headers=[b"X-A: b"] * 64, user=b"me:x",
                  cacert=pem[:131072]).batch.id == "private-options"
    assert create("private-options", user=b"me:y").error.code == \
        api.Error.CONFLICT
    client.ask(cancel=api.CancelBatch(batch="private-options"))
