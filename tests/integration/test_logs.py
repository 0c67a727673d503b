"""Log lines: one story of one job over four programs, both formats, and what
strangers may write into them."""
import json
import os
import pathlib
import random
import re
import subprocess

import pytest

from harness import BUILD, ROOT, environment, urlsum

LEVELS = ["error", "warn", "info", "debug"]
PAIR = re.compile(r'([a-z][a-z0-9_]*)=("(?:[^"\\]|\\x[0-9a-f]{2})*"|[^\s"]*)'
                  r'(?: |$)')


def table():
    """event -> (levels, folders) of docs/log-events.md."""
    rows = {}
    text = (ROOT / "docs" / "log-events.md").read_text(encoding="utf-8")
    for row in re.finditer(r"^\| `([^`]+)` \| ([^|]+) \| ([^|]+) \|", text,
                           re.M):
        rows[row[1]] = (row[2].split(", "), row[3].split(", "))
    return rows


def unescape(text):
    """What log_escape() was given."""
    return re.sub(rb"\\x([0-9a-f]{2})",
                  lambda found: bytes([int(found[1], 16)]), text)


def read_logfmt(line):
    """A line's fields, in order; quoted ones are texts, unescaped."""
    at, fields = 0, {}
    while at < len(line):
        pair = PAIR.match(line, at)
        assert pair, f"not logfmt from {at} on: {line}"
        assert pair[1] not in fields, f"{pair[1]} twice: {line}"
        value = pair[2]
        if value.startswith('"'):
            value = unescape(value[1:-1].encode("ascii"))
            value = value.decode("utf-8", "surrogateescape")
        fields[pair[1]] = value
        at = pair.end()
    return fields


def read_json(line):
    """The same of a JSON line; a key twice is an error."""
    def unique(pairs):
        assert len(dict(pairs)) == len(pairs), f"a key twice: {line}"
        return dict(pairs)

    def refuse(text):
        raise AssertionError(f"{text} is no JSON: {line}")

    assert line.isascii()
    return json.loads(line, object_pairs_hook=unique, parse_constant=refuse)


def json_bytes(text):
    """The bytes that a string of a JSON line stands for."""
    return unescape(text.encode("utf-8"))


READERS = {"logfmt": read_logfmt, "json": read_json}


@pytest.fixture(params=["logfmt", "json"])
def log_format(request):
    return request.param


# --- The story ---

# What is said of a URL on its way, by whom. Each line comes after the one
# before it; a JSON line has the same fields.
STORY = [
    ("client", {"event": "url.submitted", "url": "*"}),
    ("broker", {"event": "job.moved", "from": "NONE", "to": "QUEUED"}),
    ("broker", {"event": "job.moved", "from": "QUEUED", "to": "LEASED"}),
    ("fetcher", {"event": "fetch.start", "url": "*"}),
    ("fetcher", {"event": "fetch.end", "outcome": "ok"}),
    ("hasher", {"event": "hash.end", "size": "*"}),
    ("broker", {"event": "job.moved", "from": "HASHING"}),
    ("client", {"event": "url.result", "outcome": "ok", "size": "*"}),
]


def start_loud_fleet(fleet, log_format, nginx):
    logs = ["--log-level", "debug", "--log-format", log_format]
    broker = fleet.start("urlsum-broker", *logs, "--store", fleet.store, *(
        arg for role, endpoint in fleet.endpoints.items()
        for arg in (f"--{role}-bind", endpoint)))
    hasher = fleet.start("urlsum-hasher", *logs, "--threads", "2", "--broker",
                         fleet.endpoints["hasher"])
    fetcher = fleet.start("urlsum-fetcher", *logs, "--cacert", nginx.ca,
                          "--broker", fleet.endpoints["fetcher"])
    return {"broker": broker, "hasher": hasher, "fetcher": fetcher}, logs


def grep(folder, job, log_format):
    """What a person does: one grep over all logs, sorted by time."""
    what = f'job={job} ' if log_format == "logfmt" else f'"job":"{job}"'
    paths = sorted(str(path) for path in folder.glob("*.log"))
    out = subprocess.run(["grep", "-hF", "--", what, *paths], check=True,
                         capture_output=True, timeout=60, text=True).stdout
    names = {}
    for path in paths:
        for line in pathlib.Path(path).read_text("utf-8").splitlines():
            names[line] = pathlib.Path(path).name
    return [(names[line], READERS[log_format](line))
            for line in sorted(out.splitlines())]


def fits(fields, wanted):
    return all(key in fields and value in ("*", fields[key])
               for key, value in wanted.items())


@pytest.mark.parametrize("path", ["x", "made/5M"])
def test_one_story_over_four_programs(new_fleet, nginx, log_format, path):
    """One grep tells of one URL from submission to result, in order."""
    fleet = new_fleet()
    _, logs = start_loud_fleet(fleet, log_format, nginx)
    urls = [nginx.url("made/1"), nginx.url(path), nginx.url("made/256K")]
    batch = "story"
    got = fleet.client("submit", *logs, "--id", batch, *urls)
    (fleet.folder / "client-submit.log").write_bytes(got.stderr)
    got = fleet.client("results", *logs, batch, "--follow")
    (fleet.folder / "client-results.log").write_bytes(got.stderr)
    number = json.loads(fleet.client("status", batch, "--json").stdout)["number"]
    fleet.end()

    story = grep(fleet.folder, f"{number}/1", log_format)
    told = iter(story)
    for program, wanted in STORY:
        assert any(program in name and fits(fields, wanted)
                   for name, fields in told), \
            f"{program} {wanted} is not in its place:\n" + \
            "\n".join(map(str, story))
    assert all(fields["job"] == f"{number}/1" for _, fields in story)
    assert {fields["url"] for _, fields in story if "url" in fields} == \
        {nginx.url(path)}
    sizes = {int(fields["size"]) for _, fields in story if "size" in fields}
    assert sizes == {1 if path == "x" else 5 << 20}


def test_story_of_one_process(nginx, log_format):
    """The embedded run tells the same story on one stderr."""
    got = urlsum("get", "--log-level", "debug", "--log-format", log_format,
                 nginx.url("x"))
    lines = [READERS[log_format](line) for line in got.errors]
    told = iter([fields for fields in lines if "job" in fields])
    for _, wanted in STORY:
        assert any(fits(fields, wanted) for fields in told), wanted


def test_both_formats_say_the_same(new_fleet, nginx, tmp_path):
    """Every line of a fleet, in either format: known, whole, with its types."""
    known = table()
    seen = {}
    for log_format, read in READERS.items():
        fleet = new_fleet()
        programs, logs = start_loud_fleet(fleet, log_format, nginx)
        got = fleet.client("get", *logs, nginx.url("x"), "not a url",
                           nginx.url("none?secret=1"),
                           nginx.url("made/0").replace("//", "//u:secret@"),
                           codes=(1,))
        texts = {"client": "\n".join(line for line in got.errors
                                     if not line.startswith("urlsum: "))}
        for name, program in reversed(programs.items()):
            program.stop()
            texts[name] = program.text()
        for name, text in texts.items():
            assert "secret" not in text
            for line in text.splitlines():
                fields = read(line)
                levels, folders = known[fields["event"]]
                assert fields["level"] in levels, line
                assert {name, "common", "proto"} & set(folders), line
                assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z",
                                    fields["ts"]), line
                seen.setdefault(log_format, {}).setdefault(
                    fields["event"], set()).add(tuple(fields))
    assert seen["logfmt"] == seen["json"]
    assert len(seen["json"]) > 15


@pytest.mark.parametrize("program", ["urlsum-broker", "urlsum-fetcher",
                                     "urlsum-hasher"])
def test_wrong_format(program):
    got = subprocess.run([str(BUILD / program), "--log-format", "xml"],
                         capture_output=True, timeout=60, check=False,
                         text=True, env=environment())
    assert got.returncode == 2
    assert got.stderr.startswith(
        f"{program}: --log-format: 'xml' is none of logfmt, json")


@pytest.mark.parametrize("command", ["get", "submit", "results"])
def test_wrong_format_of_the_client(command):
    got = urlsum(command, "--log-format", "xml", "x", codes=(2,))
    assert got.errors[0].startswith(
        f"urlsum {command}: --log-format: 'xml' is none of logfmt, json")


# --- The journal ---

def test_journal_gets_priorities(new_fleet, nginx):
    """Where stderr is the journal, lines begin with their priority; where it
    only says so in the environment, they do not."""
    for is_journal in (True, False):
        fleet = new_fleet()
        log = fleet.folder / "urlsum-fetcher.0.log"
        log.touch()
        st = os.stat(log)
        stream = f"{st.st_dev}:{st.st_ino if is_journal else st.st_ino + 1}"
        fetcher = fleet.start("urlsum-fetcher", "--broker",
                              fleet.endpoints["fetcher"],
                              env=environment(JOURNAL_STREAM=stream))
        fetcher.wait_event("fetcher.started")
        fetcher.stop()
        begin = "<6>level=info event=" if is_journal else "ts="
        assert fetcher.text().splitlines()
        assert all(line.startswith(begin)
                   for line in fetcher.text().splitlines())


# --- Strangers ---

def hostile_texts():
    """Texts that look for the holes: 3,000 random ones and some on purpose."""
    chance = random.Random(4)
    yield from (b"", b'"', b"\\", b'" x="', b' level=error event=a.b job=1/1',
                b'\n{"level":"error"}\n', b"\\x41\\xzz\\x", b"\xff\xfe\xed\xa0\x80",
                "é€😀\u2028\u202e\ufeff".encode(), b"%s%n%d", b"x=1 last=2",
                b"\x1b[2J\r\x08\x7f\xc2\x9b", b"a" * 5000, b"\\" * 3000,
                b'"' * 3000, b"\xff" * 3000, "😀".encode() * 900,
                b"n=5 text= url= bare= last=7", b"-", b"1e5", b"true", b"null")
    pieces = [b"=", b" ", b'"', b"\\", b"\n", b"x", b"job=", b"last=", b"\x80",
              b"\xc3\xa9", b"\xf0\x9f\x98\x80", b"\x01", b"}", b"{", b",", b"\\u",
              b"\\x0", b"://", b"@", b"?"]
    for _ in range(3000):
        if chance.random() < 0.5:
            text = bytes(chance.randrange(1, 256)
                         for _ in range(chance.randrange(40)))
        else:
            text = b"".join(chance.choices(pieces, k=chance.randrange(30)))
        yield text * chance.choice([1, 1, 1, 1, 1, 1, 40, 200])


def run_log_lines(log_format, texts):
    # NUL divides the texts, so there is none in them; the unit tests have it.
    out = subprocess.run([str(BUILD / "tests" / "log_lines"), log_format],
                         input=b"\0".join(texts) + b"\0", check=True,
                         capture_output=True, timeout=120).stderr
    assert out.endswith(b"\n")
    lines = out.decode("ascii").split("\n")[:-1]
    assert len(lines) == 4 * len(texts)
    assert max(map(len, lines)) < 2048
    assert all(line.isprintable() for line in lines)
    return lines


def test_hostile_texts_as_json():
    texts = list(hostile_texts())
    cuts = 0
    for number, line in enumerate(run_log_lines("json", texts)):
        number, kind = divmod(number, 4)
        text = texts[number]
        fields = read_json(line)
        assert list(fields)[:3] == ["ts", "level", "event"]
        assert fields["level"] == "info"
        is_cut = fields.pop("cut", False)
        cuts += is_cut
        if kind == 0:
            assert fields["event"] == "test.text"
            assert fields["job"] == f"0/{number}" and fields["n"] == number
            got = json_bytes(fields["text"])
            if is_cut:
                assert text.startswith(got) and len(got) >= 150
            else:
                assert got == text and fields["last"] == -1
        elif kind == 1:
            assert set(fields) <= {"ts", "level", "event", "n", "url"}
        elif kind == 2:
            # Nobody escaped it; it is still in its place.
            assert set(fields) <= {"ts", "level", "event", "n", "quoted",
                                   "bare", "last"}
            assert fields["n"] == number
        else:
            assert set(fields) <= {"ts", "level", "event", "text"}
    assert 50 < cuts < len(texts)


def test_hostile_texts_as_logfmt():
    texts = list(hostile_texts())
    for number, line in enumerate(run_log_lines("logfmt", texts)):
        number, kind = divmod(number, 4)
        if kind == 0 and not line.endswith("..."):
            fields = read_logfmt(line)
            got = fields["text"].encode("utf-8", "surrogateescape")
            assert got == texts[number] and fields["last"] == "-1"
        assert line.startswith("ts=")
        assert " level=info event=test." in line


def test_a_url_tells_no_more_than_it_may(module_fleet, nginx):
    """A URL of odd bytes, from the list to the log and to the record."""
    name = "é\"\\ %ff".encode()
    got = module_fleet.client("get", "--log-level", "debug", "--log-format",
                              "json", "-i", "-", "--format", "jsonl",
                              stdin=nginx.url("x").encode() + b"/" + name +
                              b"\n", codes=(0, 1))
    lines = [read_json(line) for line in got.errors
             if not line.startswith("urlsum: ")]
    url = next(line["url"] for line in lines
               if line["event"] == "url.submitted")
    assert json_bytes(url) == nginx.url("x").encode() + b"/" + name
