"""Manual pages and completions: each option is in each of them, the tools that
read them do so without a complaint, and three shells really complete."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

import harness
from batches import small_urls, submit
from harness import BUILD, GIVE_UP_S

# What is tested is made when the programs are built, by no program that a
# sanitizer looks at.
pytestmark = pytest.mark.plain
MANUAL = BUILD / "manual"
ZSH = pathlib.Path(__file__).with_name("complete.zsh")
DAEMONS = ["urlsum-broker", "urlsum-fetcher", "urlsum-hasher"]
OWN = {"--print-config", "--version", "--help"}


def run(*args, **more):
    return subprocess.run([str(arg) for arg in args], capture_output=True,
                          timeout=GIVE_UP_S, env=harness.environment(**more))


def subcommands():
    text = run(BUILD / "urlsum", "--help").stdout.decode()
    part = text.split("says more):\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in part.splitlines()]


def command_lines():
    return [f"urlsum {name}" for name in subcommands()] + DAEMONS


@pytest.fixture(params=command_lines())
def command(request):
    """A program, or urlsum with a subcommand: "urlsum get"."""
    return request.param


def rows(command):
    """{"--format": "URLSUM_FORMAT"} of all rows of its option tables."""
    program, *rest = command.split()
    text = run(BUILD / program, *rest, "--print-config").stdout.decode()
    names = re.findall(r"^([a-z0-9.-]+)=", text, re.MULTILINE)
    assert names
    return {f"--{name}": "URLSUM_" + re.sub("[-.]", "_", name.upper())
            for name in names}


def page(command):
    name = command.replace(" ", "-")
    return MANUAL / command.split()[0] / "man" / "man1" / f"{name}.1"


def pages():
    return sorted(MANUAL.glob("*/man/man1/*.1"))


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"no {tool} here")


# --- Three shells, each asked what it would offer behind a line ---

class Bash:
    tool = "bash"

    @staticmethod
    def offers(line, folder, **more):
        """The words that readline's insert-completions (ESC *) puts there."""
        program = line.split()[0]
        file = (MANUAL / program / "bash-completion" / "completions" / program)
        told = folder / "told"
        told.unlink(missing_ok=True)
        (folder / "rc").write_text(
            f"source '{file}'\nbind 'set bell-style none'\n"
            f"bind -x '\"\\C-x\\C-t\": printf \"%s\" \"$READLINE_LINE\" "
            f">\"{told}.part\"; mv \"{told}.part\" \"{told}\"'\n"
            "echo re''ady\n")
        pid, fd = pty.fork()
        if pid == 0:
            os.chdir(folder)
            os.execvpe("bash", ["bash", "--rcfile", "rc", "-i"],
                       harness.environment(TERM="dumb", COLUMNS="20000",
                                           INPUTRC="/dev/null", **more))
        try:
            talk(fd, b"", lambda seen: b"ready" in seen)
            talk(fd, line.encode() + b"\x1b*\x18\x14",
                 lambda _: told.exists())
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.close(fd)
        text = told.read_text()
        if text == line: # nothing to insert
            return []
        head = line[:len(line) - len(re.split(r"[ =]", line)[-1])]
        assert text.startswith(head), (text, head)
        return text[len(head):].split()


def talk(fd, keys, is_enough):
    """Types keys and reads what comes until it is enough."""
    seen = b""
    until = time.monotonic() + GIVE_UP_S
    os.write(fd, keys)
    while not is_enough(seen):
        assert time.monotonic() < until, seen
        if select.select([fd], [], [], 0.05)[0]:
            seen += os.read(fd, 65536)


class Zsh:
    tool = "zsh"

    @staticmethod
    def offers(line, folder, **more):
        got = subprocess.run(
            ["zsh", "-f", ZSH, folder.parent / "zcompdump", line,
             *MANUAL.glob("*/zsh/site-functions")], cwd=folder, capture_output=True, timeout=GIVE_UP_S,
            stdin=subprocess.DEVNULL, env=harness.environment(**more))
        return got.stdout.decode().split()


class Fish:
    tool = "fish"

    @staticmethod
    def offers(line, folder, **more):
        program = line.split()[0]
        file = (MANUAL / program / "fish" / "vendor_completions.d" /
                f"{program}.fish")
        got = subprocess.run(
            ["fish", "--no-config", "-c",
             f"source {file}; complete -C '{line}'"],
            cwd=folder, capture_output=True, timeout=GIVE_UP_S,
            env=harness.environment(HOME=str(folder), **more))
        assert got.stderr == b""
        words = [text.split("\t")[0]
                 for text in got.stdout.decode().splitlines()]
        # fish repeats the flag of "--flag=value".
        return [re.sub("^--[^=]*=", "", word) for word in words]


@pytest.fixture(params=[Bash, Zsh, Fish], ids=lambda shell: shell.tool)
def offers(request, tmp_path):
    """What the shell offers: offers("urlsum g") is {"get"}."""
    need(request.param.tool)
    path = f"{BUILD}:{os.environ['PATH']}"
    return lambda line, **more: set(
        request.param.offers(line, tmp_path, PATH=path, **more))


# --- Every row is everywhere ---

def test_page_has_every_option(command):
    text = page(command).read_text()
    for flag, variable in rows(command).items():
        assert "\\fB" + flag.replace("-", "\\-") + "\\fR" in text
        assert f"\\fB{variable}\\fR" in text
    for flag in OWN:
        assert "\\fB" + flag.replace("-", "\\-") + "\\fR" in text


def test_urlsum_page_has_gets_options():
    text = page("urlsum").read_text()
    for flag in rows("urlsum get"):
        assert "\\fB" + flag.replace("-", "\\-") + "\\fR" in text


def test_shells_offer_every_option(command, offers):
    got = {word.rstrip("=") for word in offers(f"{command} --")}
    assert got == set(rows(command)) | OWN


def test_every_command_has_a_page():
    got = {path.stem for path in pages()}
    assert got == {"urlsum", *(line.replace(" ", "-")
                               for line in command_lines())}


# --- What pages look like ---

@pytest.mark.parametrize("args", [
    ("man", "--warnings", "-l"), ("groff", "-man", "-ww", "-z", "-Tutf8"),
    ("mandoc", "-Tlint", "-Wwarning")], ids=lambda args: args[0])
def test_pages_are_clean(args):
    need(args[0])
    for path in pages():
        got = run(*args, path, MANWIDTH="80", LC_ALL="C.UTF-8")
        complaints = got.stderr + (got.stdout if args[0] == "mandoc" else b"")
        assert (got.returncode, complaints) == (0, b"")


def test_pages_have_a_name_that_apropos_finds():
    need("lexgrog")
    for path in pages():
        got = run("lexgrog", path).stdout.decode()
        assert f'"{path.stem} - ' in got


def test_pages_read_well():
    """Flags stay whole, nothing of the source shows, no section is empty."""
    need("man")
    for path in pages():
        text = run("man", "-l", path, MANWIDTH="80", LC_ALL="C.UTF-8",
                   MAN_KEEP_FORMATTING="", GROFF_NO_SGR="1").stdout.decode()
        text = re.sub(".\b", "", text)
        assert max(map(len, text.splitlines())) <= 80
        assert not re.search(r"\\f|\\-|^\.[A-Z]", text, re.MULTILINE)
        assert not re.search(r"-$|\burl\u2010$|\u2010\n *-", text, re.MULTILINE)
        assert not re.search(r"^[A-Z ]+\n(\n|[A-Z])", text, re.MULTILINE)
        for section in ("SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS",
                        "ENVIRONMENT", "SEE ALSO"):
            assert f"\n{section}\n" in text, path


# --- What shells offer ---

def test_first_word(offers):
    assert set(subcommands()) | {"help"} <= offers("urlsum ")
    assert offers("urlsum wai") == {"wait"}
    assert offers("urlsum help r") == {"results", "retry", "rm"}
    assert offers("urlsum https://x/ --ord") == {"--ordered"}


def test_values(offers):
    formats = {"sum", "tag", "jsonl", "csv", "sri"}
    assert offers("urlsum get --format ") == formats
    assert offers("urlsum get --format=") == formats
    assert offers("urlsum get --format=s") == {"sum", "sri"}
    assert offers("urlsum results b --format j") == {"jsonl"}
    for daemon in DAEMONS:
        assert offers(f"{daemon} --log-level=") == {"error", "warn", "info",
                                                    "debug"}


def test_lists(offers):
    assert {"sha512", "sha256", "md5"} <= offers("urlsum get -a ")
    got = {word.split(",")[-1] for word in offers("urlsum get -a md5,sha51")}
    assert got == {"sha512", "sha512-224", "sha512-256"}
    got = {word.split(",")[-1] for word in offers("urlsum retry --only dns,ti")}
    assert got == {"timeout"}


def test_files(offers, tmp_path):
    (tmp_path / "list-1").touch()
    (tmp_path / "list-2").touch()
    assert offers("urlsum get -i li") == {"list-1", "list-2"}
    assert offers("urlsum-broker --store=li") == {"list-1", "list-2"}
    # Not where no file is meant.
    assert offers("urlsum get --retry li") == set()
    assert offers("urlsum-broker li") == set()


def test_batches(offers, module_fleet, nginx):
    batch = submit(module_fleet, small_urls(nginx, 3))
    broker = module_fleet.endpoints["client"]
    assert batch in offers("urlsum wait ", URLSUM_BROKER=broker)
    assert batch in offers("urlsum rm ", URLSUM_BROKER=broker)
    assert batch in offers(f"urlsum status --broker={broker} {batch[:3]}")
    assert batch in offers(f"urlsum status --broker {broker} {batch[:3]}")
    # No broker: no offer, and nobody waits for one.
    nobody = f"tcp://127.0.0.1:{harness.free_port()}"
    assert offers("urlsum wait ", URLSUM_BROKER=nobody) == set()
