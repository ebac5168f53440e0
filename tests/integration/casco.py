"""The ground of the integration tests: our programs, private daemons, a real registry, a pty, and
the check that nothing is left behind.  Only Python's standard library.

CASCO_BIN names the folder of the programs (default build/bin), CASCO_SHARE that of the embedded
image (default build/share)."""
import contextlib
import fcntl
import os
import pathlib
import pty
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import time
import unittest

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
BIN = pathlib.Path(os.environ.get("CASCO_BIN", TOP / "build" / "bin")).resolve()
SHARE = pathlib.Path(os.environ.get("CASCO_SHARE", TOP / "build" / "share")).resolve()
TIMEOUT = 60


def program(name):
    return str(BIN / name)


def our_env(**more):
    """An environment in which our programs are the first ones found, and nothing points elsewhere."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CONTAINERD_", "CASCO_"))}
    env["PATH"] = f"{BIN}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    env.update(more)
    return env


def run(command, check=True, timeout=TIMEOUT, env=None, cwd=None, input=None):
    """Run to the end.  The result has returncode, stdout, stderr (text)."""
    r = subprocess.run([str(c) for c in command], env=env or our_env(), cwd=cwd, timeout=timeout,
                       input=input, stdin=None if input is not None else subprocess.DEVNULL,
                       capture_output=True, text=True, errors="replace", check=False)
    if check and r.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {r.returncode}\n{r.stdout}{r.stderr}")
    return r


def wait_for(what, probe, timeout=20.0):
    """probe() until it gives something true; a clear failure otherwise."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        value = probe()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {timeout:.0f} s for {what}")


def wait_for_foreground(*words):
    """Until the program with these words is what its terminal's keys reach: a shell gives it the terminal after its start."""
    wanted = "".join(w + "\0" for w in words).encode()

    def is_there():
        for p in pathlib.Path("/proc").iterdir():
            try:
                if p.name.isdigit() and (p / "cmdline").read_bytes() == wanted:
                    stat = (p / "stat").read_text().rpartition(")")[2].split()
                    if stat[2] == stat[5]:  # pgrp and tpgid
                        return True
            except OSError:
                continue
        return False

    wait_for(f"{words} in the foreground", is_there)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# --- what may be left behind ---------------------------------------------------------------------

def mounts(marker):
    with open("/proc/self/mountinfo") as f:
        return sorted(line.split()[4] for line in f if marker in line)


def processes(marker):
    """Processes that mention marker in their arguments, working folder or root."""
    found = []
    for p in pathlib.Path("/proc").iterdir():
        if not p.name.isdigit() or int(p.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            args = (p / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            if marker in args or marker in os.readlink(p / "cwd") or marker in os.readlink(p / "root"):
                found.append(f"{p.name} {args}")
    return found


def cgroups():
    """Every cgroup folder of the machine, of whoever."""
    found = set()
    for folder, subfolders, _ in os.walk("/sys/fs/cgroup"):
        found.update(os.path.join(folder, s) for s in subfolders)
    return found


def is_namespace(folder):
    """A containerd namespace's own cgroup folder stays when it is empty, as with the originals."""
    return os.path.basename(folder) in ("default", "k8s.io") and not [e for e in os.scandir(folder) if e.is_dir()]


def network_namespaces():
    found = set()
    for p in pathlib.Path("/proc").iterdir():
        if p.name.isdigit():
            with contextlib.suppress(OSError):
                found.add(os.readlink(p / "ns" / "net"))
    return found


class Scratch:
    """A folder of one's own, and the claim that nothing of it stays: no process, mount, cgroup."""

    def __init__(self, cgroup_mark=""):
        """cgroup_mark: a part of all its cgroups' names, so that another run's are left alone."""
        self.cgroup_mark = cgroup_mark
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="casco-test-"))
        os.chmod(self.path, 0o711)
        self.cgroups_before = cgroups()

    def new_cgroups(self):
        return sorted(c for c in cgroups() - self.cgroups_before if self.cgroup_mark in c)

    def leftovers(self):
        left = [f"process {p}" for p in processes(str(self.path))]
        left += [f"mount {m}" for m in mounts(str(self.path))]
        left += [f"cgroup {c}" for c in self.new_cgroups() if not is_namespace(c)]
        return left

    def remove(self):
        """Checks, then takes by force what is left, so that one failure stays one failure."""
        end = time.monotonic() + 5
        left = self.leftovers()
        while left and time.monotonic() < end:
            time.sleep(0.1)
            left = self.leftovers()
        for line in processes(str(self.path)):
            with contextlib.suppress(OSError):
                os.kill(int(line.split()[0]), signal.SIGKILL)
        for m in reversed(mounts(str(self.path))):
            subprocess.run(["umount", "-l", m], check=False, capture_output=True)
        for c in reversed(self.new_cgroups()):
            with contextlib.suppress(OSError):
                os.rmdir(c)
        shutil.rmtree(self.path, ignore_errors=True)
        if left:
            raise AssertionError("left behind: " + "; ".join(left))


def block_device():
    """A whole block device of this machine (path, "MAJOR:MINOR"), or (None, None)."""
    for p in sorted(pathlib.Path("/sys/class/block").glob("*")):
        path = pathlib.Path("/dev") / p.name
        if path.is_block_device() and not (p / "partition").exists() and not p.name.startswith("loop"):
            return str(path), (p / "dev").read_text().strip()
    return None, None


# --- daemons -------------------------------------------------------------------------------------

CONFIG = """version = 3
root = '{root}'
state = '{state}'

[grpc]
  address = '{address}'

[plugins.'io.containerd.transfer.v1.local']
  config_path = '{certs}'

[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = '{certs}'
"""

# of containerd before 2.0
CONFIG_V2 = """version = 2
root = '{root}'
state = '{state}'
disabled_plugins = ['io.containerd.grpc.v1.cri']

[grpc]
  address = '{address}'

[plugins.'io.containerd.internal.v1.opt']
  path = '{root}/opt'
"""


class Daemon:
    """A private containerd (ours, or another binary) with its own root, state and socket."""

    def __init__(self, base, binary=None, config=CONFIG, env=None, root=None):
        self.base = pathlib.Path(base)
        self.binary = str(binary or program("containerd"))
        self.root, self.state = pathlib.Path(root or self.base / "root"), self.base / "state"
        self.address, self.certs = str(self.state / "c.sock"), self.base / "certs.d"
        self.config, self.log_path = self.base / "config.toml", self.base / "containerd.log"
        self.env = env or our_env()
        self.certs.mkdir(exist_ok=True)
        self.config.write_text(config.format(root=self.root, state=self.state, address=self.address,
                                             certs=self.certs))
        self.process = None

    def start(self):
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "--config", str(self.config), "--log-level", "debug"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.env, cwd="/")
        wait_for("the daemon's socket", lambda: self.accepts() or self.died())
        return self

    def accepts(self):
        with socket.socket(socket.AF_UNIX) as s:
            try:
                s.connect(self.address)
                return True
            except OSError:
                return False

    def died(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.binary} ended with {self.process.returncode}:\n{self.log()[-3000:]}")
        return False

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def kill(self):
        """As a crash would: no word of warning.  A child on its way to execve keeps the socket a moment longer,
        and must not be taken for the next daemon."""
        self.process.kill()
        self.process.wait()
        wait_for("the dead daemon's socket to close", lambda: not self.accepts())

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
                raise AssertionError("the daemon did not stop on SIGTERM within 10 s") from None

    def command(self, *args, binary=None):
        return [str(binary or program("ctr")), "--address", self.address, *map(str, args)]

    def ctr(self, *args, check=True, timeout=TIMEOUT, binary=None, input=None):
        return run(self.command(*args, binary=binary), check=check, timeout=timeout, env=self.env,
                   input=input)


class DaemonTest(unittest.TestCase):
    """A fresh daemon for each class; every test leaves it without containers and tasks."""
    binary = None
    ctr_binary = None
    images = True  # import the embedded image
    settings = ""  # what the daemon's config has more

    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        cls.daemon = Daemon(cls.scratch.path, binary=cls.binary, config=CONFIG + cls.settings)
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        if cls.images:
            cls.ctr("images", "import", SHARE / "busybox.tar")

    @classmethod
    def ctr(cls, *args, **kw):
        kw.setdefault("binary", cls.ctr_binary)
        return cls.daemon.ctr(*args, **kw)

    IMAGE = "docker.io/library/busybox:latest"

    def tearDown(self):
        """Takes what a failed test left, so that the next one starts clean."""
        for line in self.ctr("tasks", "list", check=False).stdout.splitlines()[1:]:
            task = line.split()[0]
            self.ctr("tasks", "kill", "-s", "SIGKILL", task, check=False)
            wait_for("a killed task", lambda t=task: "RUNNING" not in self.task_line(t), 10)
            self.ctr("tasks", "delete", task, check=False)
        for c in self.ctr("containers", "list", "-q", check=False).stdout.split():
            self.ctr("containers", "delete", c, check=False)

    def task_line(self, task):
        for line in self.ctr("tasks", "list").stdout.splitlines()[1:]:
            if line.split()[0] == task:
                return line
        return ""

    def running(self, *more, name="box", command=("sleep", "300")):
        """A detached container that runs."""
        self.ctr("run", "-d", *more, self.IMAGE, name, *command)
        wait_for(f"{name} to run", lambda: "RUNNING" in self.task_line(name))
        return name


# --- a terminal ----------------------------------------------------------------------------------

class Terminal:
    """A program on a pty of its own: type, expect, resize, wait."""

    def __init__(self, command, env=None, rows=24, cols=80):
        self.seen = ""
        pid, self.fd = pty.fork()
        if pid == 0:
            try:
                os.execvpe(str(command[0]), [str(c) for c in command], env or our_env(TERM="xterm"))
            finally:
                os._exit(127)
        self.pid = pid
        self.code = None
        self.resize(rows, cols)

    def resize(self, rows, cols):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.fd, text.encode())

    def read(self, timeout):
        ready, _, _ = select.select([self.fd], [], [], timeout)
        if not ready:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: the other side is gone
            return None
        self.seen += data.decode(errors="replace")
        return True if data else None

    def expect(self, text, timeout=15.0):
        """Wait for text in what has not been matched yet; drops everything up to it."""
        end = time.monotonic() + timeout
        while text not in self.seen:
            left = end - time.monotonic()
            if left <= 0 or self.read(left) is None:
                raise AssertionError(f"expected {text!r}, saw {self.seen!r}")
        before, _, self.seen = self.seen.partition(text)
        return before

    def wait(self, timeout=15.0):
        """The exit code (128 + n for a signal)."""
        end = time.monotonic() + timeout
        while self.code is None:
            got, status = os.waitpid(self.pid, os.WNOHANG)
            if got:
                code = os.waitstatus_to_exitcode(status)
                self.code = 128 - code if code < 0 else code
            elif time.monotonic() > end:
                raise AssertionError(f"still running, saw {self.seen!r}")
            else:
                self.read(0.05)
        while self.read(0):
            pass
        return self.code

    def close(self):
        if self.code is None:
            with contextlib.suppress(OSError):
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
        with contextlib.suppress(OSError):
            os.close(self.fd)
