"""What only root has: network namespaces whose packets can be dropped, and a
small disk that can be filled.

All names have our process number in them, so runs do not collide.
"""
import contextlib
import os
import subprocess


def can():
    """Whether namespaces, packet filters and mounts are to be had here."""
    if os.geteuid() != 0:
        return "not root"
    name = f"urlsum-chaos-{os.getpid()}-try"
    try:
        run("ip", "netns", "add", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no network namespaces ({why(error)})"
    try:
        run("nsenter", f"--net=/run/netns/{name}", "iptables", "-S")
        run("nsenter", f"--net=/run/netns/{name}", "ip", "link", "add",
            "veth1", "type", "veth", "peer", "name", "veth2")
    except (OSError, subprocess.CalledProcessError) as error:
        return f"no iptables or veth ({why(error)})"
    finally:
        run("ip", "netns", "del", name)
    return None


def why(error):
    return (getattr(error, "stderr", None) or str(error)).strip() \
        .splitlines()[-1]


def run(*args):
    subprocess.run(args, check=True, stdin=subprocess.DEVNULL,
                   capture_output=True, text=True, timeout=30)


class Namespace:
    """A host of its own behind a veth pair; it reaches us, and only us."""

    # The ways to cut it, by the chain whose packets vanish.
    WAYS = ("block", "block-in", "block-out")

    def __init__(self, number):
        pid = os.getpid()
        self.name = f"urlsum-chaos-{pid}-{number}"
        self.link = f"ch{pid}x{number}"
        # 198.18.0.0/15 is for tests of networks (RFC 2544).
        base = pid % 8192 * 8 + number * 4
        net = f"198.18.{base // 256}."
        self.ours = f"{net}{base % 256 + 1}"
        self.theirs = f"{net}{base % 256 + 2}"
        self.is_made = False

    def start(self):
        run("ip", "netns", "add", self.name)
        self.is_made = True
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name",
            "eth0", "netns", self.name)
        run("ip", "address", "add", f"{self.ours}/30", "dev", self.link)
        run("ip", "link", "set", self.link, "up")
        inside = ("ip", "-n", self.name)
        run(*inside, "link", "set", "lo", "up")
        run(*inside, "address", "add", f"{self.theirs}/30", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        run(*inside, "route", "add", "default", "via", self.ours)

    def command(self):
        """What a program's command begins with to run in here."""
        return ["nsenter", f"--net=/run/netns/{self.name}"]

    def filter(self, action, way, port):
        """Drops ("-A"), or no longer ("-D"), packets from and to a port."""
        for chain, option in (("INPUT", "--sport"), ("OUTPUT", "--dport")):
            if way == "block" or way == {"INPUT": "block-in",
                                         "OUTPUT": "block-out"}[chain]:
                run(*self.command(), "iptables", "-w", action, chain, "-p",
                    "tcp", option, str(port), "-j", "DROP")

    def end(self):
        if not self.is_made:
            return
        self.is_made = False
        with contextlib.suppress(subprocess.CalledProcessError):
            run("ip", "link", "del", self.link)
        run("ip", "netns", "del", self.name)


class Disk:
    """A small tmpfs, and a ballast file that takes its room away."""

    def __init__(self, folder, size):
        self.folder = folder
        self.size = size
        self.ballast = folder / "ballast"
        self.is_mounted = False

    def start(self):
        self.folder.mkdir()
        run("mount", "-t", "tmpfs", "-o", f"size={self.size},mode=700",
            "urlsum-chaos", str(self.folder))
        self.is_mounted = True

    def fill(self):
        """Leaves less than a page."""
        file = os.open(self.ballast, os.O_CREAT | os.O_WRONLY, 0o600)
        try:
            room = os.statvfs(self.folder)
            with contextlib.suppress(OSError):
                os.posix_fallocate(file, 0, room.f_bfree * room.f_bsize)
            os.lseek(file, 0, os.SEEK_END)
            with contextlib.suppress(OSError):
                while os.write(file, bytes(4096)):
                    pass
        finally:
            os.close(file)

    def free(self):
        self.ballast.unlink(missing_ok=True)

    def end(self):
        if self.is_mounted:
            self.is_mounted = False
            run("umount", "--lazy", str(self.folder))
