"""What the attack tests share: a hostile bundle, a runtime, and the host's things that must stay as
they are.  Each test plays one published attack; ids are in its first line.

No test may do harm where the attack succeeds, since a runtime that is broken, or a peer's that is
known to be, runs them too: they open and read what must be out of reach, and never write it; what
they write is a file of the test's own or belongs to a namespace of the container."""
import contextlib
import ctypes
import hashlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import casco  # noqa: E402

TIMEOUT = 30
V2_VIEW = ["unshare", "-m", "--propagation", "private", "sh", "-c",
           'umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"', "sh"]
DEBIAN_RUNC, DEBIAN_CRUN = "/usr/sbin/runc", "/usr/bin/crun"


def tree(folder):
    """Everything below folder that an attacker may change: names, modes, owners, sizes, bytes."""
    found = {}
    for base, folders, files in os.walk(folder):
        for name in [".", *folders, *files]:
            path = os.path.join(base, name)
            st = os.lstat(path)
            bytes_ = b""
            if os.path.islink(path):
                bytes_ = os.readlink(path).encode()
            elif os.path.isfile(path):
                bytes_ = pathlib.Path(path).read_bytes()
            found[path] = (st.st_mode, st.st_uid, st.st_gid, st.st_rdev, hashlib.sha256(bytes_).hexdigest())
    return found


def rename_exchange(a, b):
    libc = ctypes.CDLL(None, use_errno=True)
    return libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2)


@contextlib.contextmanager
def swapping(a, b):
    """Exchange two names as fast as it goes, until the block ends."""
    stop = threading.Event()

    def loop():
        while not stop.is_set():
            rename_exchange(a, b)

    t = threading.Thread(target=loop)
    t.start()
    try:
        yield
    finally:
        stop.set()
        t.join()


class Attack(unittest.TestCase):
    """self.host is the host's: unchanged at the end, or the test fails.  self.rootfs is hostile."""
    # test_controls.py runs these tests against runtimes that are known to be vulnerable
    runtime = os.environ.get("CASCO_ATTACKED", casco.program("runc"))

    def setUp(self):
        self.scratch = casco.Scratch(f"attack-{os.getpid()}")
        self.addCleanup(self.scratch.remove)
        top = self.scratch.path
        self.host, self.bundle, self.root = top / "host", top / "bundle", top / "state"
        self.rootfs = self.bundle / "rootfs"
        (self.host / "dir").mkdir(parents=True)
        (self.host / "file").write_text("the host's secret\n")
        for d in ("bin", "proc", "dev", "sys", "tmp", "etc"):
            (self.rootfs / d).mkdir(parents=True)
        shutil.copy("/bin/busybox", self.rootfs / "bin")
        for name in ("sh", "true", "cat", "id", "ls", "sleep", "mkdir", "mknod", "readlink", "env", "grep"):
            (self.rootfs / "bin" / name).symlink_to("busybox")
        self.before = tree(self.host)
        self.core_pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text()
        self.addCleanup(self.check_host)
        self.count = 0

    def check_host(self):
        self.assertEqual(self.before, tree(self.host), "the host's files were touched")
        self.assertEqual(self.core_pattern, pathlib.Path("/proc/sys/kernel/core_pattern").read_text())

    def config(self, *args, **process):
        """The default spec without a terminal."""
        (self.bundle / "config.json").unlink(missing_ok=True)
        subprocess.run([self.runtime, "spec"], cwd=self.bundle, check=True)
        config = json.loads((self.bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=list(args) or ["/bin/true"], **process)
        return config

    def write(self, config):
        (self.bundle / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))

    def command(self, *args, runtime=None):
        return [str(runtime or self.runtime), "--root", str(self.root), *map(str, args)]

    def runc(self, *args, runtime=None, wrap=(), **kw):
        # Files, not pipes: a child that holds a pipe open would hide a hang as one of ours.
        return subprocess.run([*wrap, *self.command(*args, runtime=runtime)], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace", timeout=TIMEOUT, check=False, **kw)

    def run_config(self, config, runtime=None, wrap=(), **kw):
        self.write(config)
        self.count += 1
        name = f"attack-{os.getpid()}-{self.count}"
        try:
            return self.runc("run", "--bundle", self.bundle, name, runtime=runtime, wrap=wrap, **kw)
        finally:
            self.runc("delete", "--force", name, runtime=runtime, wrap=wrap)

    def assert_clear_error(self, r):
        """A refusal in words: not a crash, not silence."""
        self.assertNotEqual(r.returncode, 0, r.stdout)
        self.assertGreater(r.returncode, 0, "killed by a signal")
        # what execve refuses is the container's own last word, and no line of the log
        self.assertRegex(r.stderr, "error|^exec /" if r.returncode == 255 else "error")
        self.assertNotIn("the host's secret", r.stdout + r.stderr)

    @contextlib.contextmanager
    def running(self, config, *args):
        """A container that stays up; its name."""
        self.write(config)
        self.count += 1
        name = f"attack-{os.getpid()}-{self.count}"
        # Its output goes nowhere: it would keep our pipe open.
        log = open(self.scratch.path / "run.log", "wb")
        try:
            r = subprocess.run(self.command("run", "--detach", "--bundle", self.bundle, *args, name),
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=TIMEOUT, check=False)
            self.assertEqual(r.returncode, 0, (self.scratch.path / "run.log").read_text())
            yield name
        finally:
            log.close()
            self.runc("delete", "--force", name)


class ConsoleSocket:
    """The receiver of a terminal's master."""

    def __init__(self, path):
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.listener.settimeout(TIMEOUT)
        self.fds = []
        self.thread = threading.Thread(target=self.receive)
        self.thread.start()

    def receive(self):
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            with connection:
                _, self.fds, _, _ = socket.recv_fds(connection, 4096, 1)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()
        for fd in self.fds:
            os.close(fd)
