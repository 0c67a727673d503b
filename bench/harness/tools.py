"""What the bench needs: packages, the Release build, the peers."""
import os
import pathlib
import shutil
import subprocess

C_PEERS = {  # name -> pkg-config names; its source has the same name
    "bare_curl": ["libcurl"],
    "bare_digest": ["libcrypto"],
    "zmq_relay": ["libzmq"],
    "gen_origin": ["libcrypto"],
    "late_origin": ["libnghttp2", "libssl", "libcrypto"],
}

MORE_SOURCES = {"late_origin": ["authority.c", "authority.h"]}

GO_PEERS = ["gopipe"]


def is_installed(package):
    seen = subprocess.run(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}",
                           package], capture_output=True, text=True,
                          check=False)
    return seen.stdout.startswith("ii")


def package_names(path):
    lines = path.read_text(encoding="ascii").splitlines()
    return [line.split("#")[0].strip() for line in lines
            if line.split("#")[0].strip()]


def install_packages(root):
    """Installs what deploy/packages/{build,bench} name and is missing."""
    if not shutil.which("dpkg-query"):
        print("bench: not Debian; trusting that the packages are here")
        return
    names = []
    for part in ("build", "bench"):
        path = root / "deploy" / "packages" / part
        if path.exists():
            names += package_names(path)
    missing = [name for name in names if not is_installed(name)]
    if not missing:
        return
    print("bench: installing", *missing, flush=True)
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    env = sudo + ["env", "DEBIAN_FRONTEND=noninteractive"]
    apt = env + ["apt-get", "-o", "DPkg::Lock::Timeout=300", "-qq"]
    subprocess.run(apt + ["update"], check=True)
    subprocess.run(apt + ["install", "-y", "--no-install-recommends",
                          *missing], check=True)


def is_older(target, source):
    return not target.exists() or \
        target.stat().st_mtime < source.stat().st_mtime


def build_peers(bench, out):
    out.mkdir(parents=True, exist_ok=True)
    for name, libraries in C_PEERS.items():
        sources = [bench / "peers" / part for part
                   in [f"{name}.c", *MORE_SOURCES.get(name, [])]]
        if any(is_older(out / name, source) for source in sources):
            flags = subprocess.run(
                ["pkg-config", "--cflags", "--libs", *libraries], check=True,
                text=True, capture_output=True).stdout.split()
            subprocess.run(
                ["cc", "-O2", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra",
                 "-o", str(out / name),
                 *[str(source) for source in sources if source.suffix == ".c"],
                 *flags, "-lpthread"], check=True)
    for name in GO_PEERS:
        source = bench / "peers" / f"{name}.go"
        if is_older(out / name, source):
            env = dict(os.environ, GO111MODULE="off", GOFLAGS="",
                       GOCACHE=str(out / "go-cache"))
            subprocess.run(["go", "build", "-o", str(out / name), str(source)],
                           check=True, env=env)


def build_programs(root):
    """Builds the Release preset. Returns the folder of the programs."""
    subprocess.run(["cmake", "--preset", "release"], cwd=root, check=True,
                   stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "--preset", "release"], cwd=root,
                   check=True, stdout=subprocess.DEVNULL)
    return root / "build" / "release"


def first_line(*command):
    try:
        seen = subprocess.run(command, capture_output=True, text=True,
                              check=False)
    except OSError:
        return ""
    return (seen.stdout or seen.stderr).partition("\n")[0]


def library_version(name):
    return first_line("pkg-config", "--modversion", name)


def machine():
    """The machine in one sentence, without names."""
    flags = set()
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            flags = set(line.split())
            break
    special = [shown for flag, shown in (
        ("sha_ni", "SHA-NI"), ("avx2", "AVX2"), ("avx512f", "AVX-512"))
        if flag in flags]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    system = "Linux"
    for line in pathlib.Path("/etc/os-release").read_text().splitlines():
        if line.startswith("PRETTY_NAME="):
            system = line.split("=", 1)[1].strip('"')
    uname = os.uname()
    kernel = ".".join(uname.release.split("-")[0].split(".")[:2])
    return (f"{os.cpu_count()} cores {uname.machine}"
            f"{' with ' + ', '.join(special) if special else ''}, "
            f"{memory / 2**30:.0f} GiB, {system}, kernel {kernel}")


def versions():
    """The versions of what was measured, in one line."""
    nginx = first_line("nginx", "-v").rpartition("/")[2].split()[0]
    go = first_line("go", "version").split()[2][2:]
    aiohttp = first_line(
        "/usr/bin/python3", "-c",
        "import aiohttp, uvloop, platform as p; print(p.python_version(), "
        "'aiohttp', aiohttp.__version__, 'uvloop', uvloop.__version__)")
    return (f"nginx {nginx}, Go {go}, Python {aiohttp}, "
            f"curl {first_line('curl', '--version').split()[1]}, "
            f"libcurl {library_version('libcurl')}, "
            f"OpenSSL {library_version('libcrypto')}, "
            f"ZeroMQ {library_version('libzmq')}")
