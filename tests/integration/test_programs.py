"""What every program says of itself, and what it says to a wrong option."""
import pathlib
import re
import subprocess

import pytest

from harness import BUILD, ROOT, environment

PROGRAMS = ["urlsum", "urlsum-broker", "urlsum-fetcher", "urlsum-hasher"]
DAEMONS = PROGRAMS[1:]
COMMANDS = ["get", "submit", "status", "results", "wait", "cancel", "workers"]


def run(*args, **env):
    return subprocess.run([str(BUILD / args[0]), *args[1:]], text=True,
                          capture_output=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, env=environment(**env))


@pytest.mark.parametrize("program", PROGRAMS)
def test_version(program):
    got = run(program, "--version")
    cmake = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    version = re.search(r"project\(urlsum VERSION ([0-9.]+)", cmake).group(1)
    assert got.returncode == 0
    assert got.stdout.splitlines()[0] == f"{program} {version}"


@pytest.mark.parametrize("args", [
    *[[program] for program in PROGRAMS],
    *[["urlsum", command] for command in COMMANDS]])
def test_help(args):
    got = run(*args, "--help")
    assert got.returncode == 0 and got.stderr == ""
    assert got.stdout.startswith("Usage: " + " ".join(args))


@pytest.mark.parametrize("program", DAEMONS)
def test_every_flag_is_a_variable(program):
    """--help tells each row's variable, and --print-config obeys it."""
    text = re.sub(r"\s+", " ", run(program, "--help").stdout)
    flags = set(re.findall(r" --([a-z][a-z0-9-]+)", text))
    flags -= {"help", "version", "print-config"}
    names = set(re.findall(r"env: (URLSUM_[A-Z0-9_]+)", text))
    assert {name[7:].lower().replace("_", "-") for name in names} <= flags
    config = run(program, "--print-config").stdout
    rows = dict(line.split("=", 1) for line in config.splitlines())
    assert {"URLSUM_" + row.upper().replace("-", "_") for row in rows} == names
    got = run(program, "--print-config", URLSUM_GRACE="7").stdout
    assert "grace=7 # environment\n" in got
    got = run(program, "--print-config", "--grace", "8", URLSUM_GRACE="7")
    assert "grace=8 # flag\n" in got.stdout


@pytest.mark.parametrize("program", DAEMONS)
@pytest.mark.parametrize("args", [
    ["--nonsense"], ["--grace"], ["--grace", "soon"], ["--grace", "-1"],
    ["unexpected"], ["--log-level", "loud"]])
def test_wrong_options(program, args):
    got = run(program, *args)
    assert got.returncode == 2
    assert got.stdout == ""
    assert got.stderr.startswith(program + ": ") or "level=error" in got.stderr


@pytest.mark.parametrize("program", DAEMONS)
def test_wrong_variable(program):
    got = run(program, URLSUM_GRACE="soon")
    assert got.returncode == 2
    assert f"{program}: URLSUM_GRACE: 'soon' is not" in got.stderr


@pytest.mark.parametrize("args", [
    [], ["--nonsense"], ["get"], ["get", "--nonsense"], ["get", "-a", ""],
    ["get", "--format", "xml", "http://127.0.0.1/"], ["results"], ["wait"],
    ["cancel"], ["get", "--retry", "x", "http://127.0.0.1/"]])
def test_wrong_client_options(args):
    got = run("urlsum", *args)
    assert got.returncode == 2, got
    assert got.stdout == "" and "urlsum" in got.stderr


def test_store_that_cannot_be(tmp_path):
    got = run("urlsum-broker", "--store", str(tmp_path),
              "--client-bind", f"ipc://{tmp_path}/c", "--fetcher-bind",
              f"ipc://{tmp_path}/f", "--hasher-bind", f"ipc://{tmp_path}/h")
    assert got.returncode in (2, 3)
    assert "store" in got.stderr


def test_install(tmp_path):
    """cmake --install puts the four programs in place."""
    subprocess.run(["cmake", "--install", str(BUILD), "--prefix",
                    str(tmp_path)], check=True, timeout=60,
                   capture_output=True)
    installed = {path.name for path in pathlib.Path(tmp_path, "bin").iterdir()}
    assert installed == set(PROGRAMS)
