"""The whole stack, ours against Debian's containerd with its ctr, shim and runc: time and memory."""
import os
import pathlib
import subprocess
import time

from measure import BIN, SHARE

PEER = pathlib.Path(os.environ.get("CASCO_PEER", "/usr/bin"))
PLAIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Stack:
    """A daemon with its ctr: ours, or Debian's."""

    def __init__(self, tmp, ours):
        self.name = "ours" if ours else "debian"  # of its container, too: cgroups are shared
        self.folder = tmp / self.name
        self.folder.mkdir()
        self.socket = self.folder / "c.sock"
        self.bin = BIN if ours else PEER
        self.env = dict(os.environ, PATH=f"{self.bin}:{PLAIN_PATH}")
        config = self.folder / "config.toml"
        config.write_text(f"version = 2\nroot = '{self.folder}/root'\nstate = '{self.folder}/state'\n"
                          f"disabled_plugins = ['io.containerd.grpc.v1.cri']\n[grpc]\naddress = '{self.socket}'\n")
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen([self.bin / "containerd", "--config", config], env=self.env, stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL, cwd="/")
        for _ in range(200):
            if subprocess.run(self.ctr("version"), env=self.env, capture_output=True, check=False).returncode == 0:
                break
            time.sleep(0.05)
        self("images", "import", SHARE / "busybox.tar")

    def ctr(self, *args):
        return [str(self.bin / "ctr"), "--address", str(self.socket), *map(str, args)]

    def __call__(self, *args):
        return subprocess.run(self.ctr(*args), env=self.env, check=True, capture_output=True, text=True).stdout

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


IMAGE = "docker.io/library/busybox:latest"


def bench_ctr(report, tmp):
    ours, theirs = Stack(tmp, True), Stack(tmp, False)
    try:
        os.environ["PATH"] = ours.env["PATH"]  # either daemon finds its own shim by its own PATH
        report.compare("ctr run --rm true: ours / Debian's", ours.ctr("run", "--rm", IMAGE, "b%N", "true"),
                       theirs.ctr("run", "--rm", IMAGE, "b%N", "true"), 1 / 12, 4, 12)
        for s in (ours, theirs):
            s("run", "-d", IMAGE, s.name, "sleep", "1000")
        report.compare("ctr task exec true: ours / Debian's",
                       ours.ctr("task", "exec", "--exec-id", "e%N", ours.name, "true"),
                       theirs.ctr("task", "exec", "--exec-id", "e%N", theirs.name, "true"), None, 4, 12)
    finally:
        finish((ours, theirs))


def finish(stacks):
    for s in stacks:
        subprocess.run(s.ctr("task", "kill", "-s", "SIGKILL", s.name), env=s.env, capture_output=True, check=False)
        time.sleep(0.3)
        subprocess.run(s.ctr("task", "delete", s.name), env=s.env, capture_output=True, check=False)
        subprocess.run(s.ctr("container", "delete", s.name), env=s.env, capture_output=True, check=False)
        s.stop()


def pss(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("Pss:"))


def shim_of(folder):
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit():
            try:
                args = (p / "cmdline").read_bytes()
            except OSError:
                continue
            if b"containerd-shim" in args and str(folder).encode() in args:
                return int(p.name)
    return None


def bench_memory(report, tmp):
    stacks = (Stack(tmp, True), Stack(tmp, False))
    try:
        for s in stacks:
            s("run", "-d", IMAGE, s.name, "sleep", "1000")
        time.sleep(2)
        values = [(pss(s.process.pid), pss(shim_of(s.folder))) for s in stacks]
        for i, what in enumerate(("containerd, idle", "shim with one container")):
            ours, theirs = values[0][i], values[1][i]
            report.add(f"PSS of {what}: ours / Debian's", ours / theirs, ours, theirs, "KiB", 1 / (6, 12)[i])
    finally:
        finish(stacks)
