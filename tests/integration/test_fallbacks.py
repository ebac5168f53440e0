"""Kernels from 5.4 on, and the filters of outer containers: everything works with the newer calls answered ENOSYS or
EPERM, one by one and all at once, and is as safe."""
import json
import os
import pathlib
import select
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "attack"))

import attack  # noqa: E402
import bundle  # noqa: E402
import casco  # noqa: E402
import test_rootfs  # noqa: E402
import test_runc  # noqa: E402
import test_runc_cli  # noqa: E402
import without  # noqa: E402

ERRORS = ("ENOSYS", "EPERM")
CALLS = [*without.CALLS, "mount", "pidfd", "all"]


def wrapper(folder, error, calls, before=()):
    """A program named runc that is ours under the filter."""
    path = pathlib.Path(folder) / f"{error}-{calls}" / "runc"
    path.parent.mkdir(exist_ok=True)
    words = [*before, sys.executable, HERE / "without.py", error, calls, casco.program("runc")]
    path.write_text("#!/bin/sh\nexec " + " ".join(f"'{w}'" for w in words) + ' "$@"\n')
    path.chmod(0o755)
    return str(path)


class Filtered:
    """Mixed into a RuncTest: all its calls of runc go through a filter."""
    error, calls = "EPERM", "all"

    def setUp(self):
        tools = tempfile.TemporaryDirectory()
        self.addCleanup(tools.cleanup)
        self.tools = tools.name
        self.use(self.error, self.calls)
        super().setUp()

    def use(self, error, calls, before=()):
        path = wrapper(self.tools, error, calls, before)
        for module in (bundle, test_runc, test_runc_cli):
            patch = mock.patch.object(module, "program", lambda name: path)
            patch.start()
            self.addCleanup(patch.stop)


class Filters(unittest.TestCase):
    def test_the_filter_does_what_it_says(self):
        script = "import ctypes; l = ctypes.CDLL(None, use_errno=True); l.syscall({}, -1, 0, 0, 0, 0); print(ctypes.get_errno())"
        for error, number in (("ENOSYS", 38), ("EPERM", 1)):
            for name in without.CALLS:
                r = subprocess.run([sys.executable, HERE / "without.py", error, name, sys.executable, "-c",
                                    script.format(without.CALLS[name])], capture_output=True, text=True, check=True)
                self.assertEqual(r.stdout, f"{number}\n", name)


class Notices(Filtered, test_runc_cli.Notify):
    """What a service manager is told, where there are no pidfds to wait by."""
    calls = "pidfd"


class Each(Filtered, bundle.RuncTest):
    """A default container from create to delete, for every call."""
    SCRIPT = """tty; grep -c . /proc/keys; ls /sys/firmware | wc -l; touch /x 2>&1; grep -o '/proc/sys proc ro' /proc/mounts
        ls /proc/self/fd | wc -w; echo x > /proc/sys/kernel/domainname || true; sleep 60"""

    def read_until(self, fd, text):
        seen = ""
        while text not in seen and select.select([fd], [], [], 5)[0]:
            seen += os.read(fd, 4096).decode().replace("\r", "")
        self.assertIn(text, seen)
        return seen

    def life(self):
        console = attack.ConsoleSocket(self.top / "console")
        try:
            self.b.config["process"].update(terminal=True, args=["sh", "-c", self.SCRIPT])
            self.b.write()
            r = self.runc("create", "--console-socket", console.path, self.id)
            self.assertEqual(r.returncode, 0, r.stderr)
            console.thread.join(5)
            self.assertEqual(self.runc("start", self.id).returncode, 0)
            seen = self.read_until(console.fds[0], "domainname: Read-only")
            self.assertTrue(seen.startswith("/dev/pts/0\n0\n0\n"), seen)
            self.assertIn("touch: /x: Read-only", seen)
            self.assertIn("/proc/sys proc ro\n4\n", seen)  # 0, 1, 2 and ls's own
        finally:
            console.close()
            console.path.unlink()
        r = self.runc("exec", self.id, "sh", "-c", "id -u; readlink /proc/1/ns/pid; readlink /proc/self/ns/pid")
        out = r.stdout.split()
        self.assertEqual((out[0], out[1], r.returncode), ("0", out[2], 0), r.stderr)
        self.assertEqual(json.loads(self.runc("state", self.id).stdout)["status"], "running")
        r = self.runc("kill", self.id, "KILL")
        self.assertEqual(r.returncode, 0, r.stderr)
        casco.wait_for("its end", lambda: json.loads(self.runc("state", self.id).stdout)["status"] == "stopped")
        self.assertIn("container not running", self.runc("kill", self.id, "TERM").stderr)
        self.assertEqual(self.runc("delete", self.id).returncode, 0)

    def test_life(self):
        self.b.config["linux"]["namespaces"].append({"type": "cgroup"})
        for calls in CALLS:
            for error in ERRORS:
                with self.subTest(calls=calls, error=error):
                    self.use(error, calls)
                    try:
                        self.life()
                    finally:
                        self.runc("delete", "-f", self.id)

    def test_into_a_cgroup_without_clone3(self):
        """CLONE_INTO_CGROUP is what cgroup v2 uses."""
        for error in ERRORS:
            with self.subTest(error):
                self.use(error, "clone3", attack.V2_VIEW)
                self.b.config["linux"]["cgroupsPath"] = f"/{self.id}"
                self.assertIn(f"/{self.id}", self.sh("cat /proc/self/cgroup"))

    def test_recursive_attributes(self):
        source = self.top / "source"
        (source / "sub").mkdir(parents=True)
        self.b.mount("/mnt", type="bind", source=str(source), options=["rbind", "rro", "rnosuid", "noatime"])
        script = f"mount -t tmpfs sub {source}/sub && mkdir {source}/sub/deep && mount -t tmpfs deep {source}/sub/deep"
        for error in ERRORS:
            with self.subTest(error):
                self.use(error, "mount", ["unshare", "-m", "--propagation", "private", "sh", "-c", script + ' && exec "$@"', "sh"])
                lines = [l.split() for l in self.sh("grep /mnt /proc/mounts").splitlines()]
                self.assertEqual([l[1] for l in lines], ["/mnt", "/mnt/sub", "/mnt/sub/deep"])
                for l in lines:
                    self.assertLessEqual({"ro", "nosuid"}, set(l[3].split(",")), l)
                self.assertIn("noatime", lines[0][3])
                self.assertNotIn("noatime", lines[1][3])

    def test_a_hidden_mount_below_is_refused(self):
        """Nobody can make it read-only by mount(2), and the container's root could uncover it."""
        source = self.top / "source"
        (source / "sub").mkdir(parents=True)
        self.b.mount("/mnt", type="bind", source=str(source), options=["rbind", "rro"])
        script = f"mount -t tmpfs a {source}/sub && mount -t tmpfs b {source}/sub"
        self.use("ENOSYS", "mount", ["unshare", "-m", "--propagation", "private", "sh", "-c", script + ' && exec "$@"', "sh"])
        self.fails("set mount attributes of /mnt")

    def test_the_host_root_does_not_bring_our_stage_along(self):
        self.b.mount("/mnt", type="bind", source="/", options=["rbind", "ro", "rslave"])
        (self.b.root / "mnt").mkdir()
        self.use("EPERM", "mount")
        before = pathlib.Path("/proc/self/mountinfo").read_text()
        out = self.sh(f"cat /mnt{self.b.path}/config.json; ls /mnt{self.b.root}/bin/busybox; grep -c ' /mnt{self.b.root}' /proc/self/mountinfo || true")
        self.assertIn("ociVersion", out)
        self.assertTrue(out.endswith("/bin/busybox\n0\n"), out[-200:])
        self.assertEqual(pathlib.Path("/proc/self/mountinfo").read_text(), before)

    def test_a_failure_without_a_mount_namespace_leaves_no_stage(self):
        linux = self.b.config["linux"]
        linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "mount"]
        self.b.config["mounts"], linux["maskedPaths"], linux["readonlyPaths"] = [], [], []
        self.fails("no such file or directory", "/nowhere")
        self.assertNotIn(str(self.top), pathlib.Path("/proc/self/mountinfo").read_text())

    def test_idmapped_mounts_are_refused_by_name(self):
        data = self.top / "data"
        data.mkdir()
        ids = [{"containerID": 0, "hostID": 1000, "size": 10}]
        self.b.mount("/mnt", type="bind", source=str(data), options=["bind"], uidMappings=ids, gidMappings=ids)
        for error in ERRORS:
            with self.subTest(error):
                self.use(error, "mount_setattr")
                self.fails("/mnt")

    def test_idmapped_mounts_without_clone3(self):
        data = self.top / "data"
        data.mkdir()
        ids = [{"containerID": 0, "hostID": 1000, "size": 10}]
        self.b.mount("/mnt", type="bind", source=str(data), options=["bind"], uidMappings=ids, gidMappings=ids)
        for error in ERRORS:
            with self.subTest(error):
                self.use(error, "clone3")
                self.assertEqual(self.sh("stat -c %u /mnt"), "1000\n")

    def test_a_comma_in_an_option_is_one_options(self):
        """fsconfig takes it as a value; mount(2) would take it for another option."""
        self.b.mount("/mnt", type="tmpfs", source="tmpfs", options=["size=64k,mode=777"])
        self.use("ENOSYS", "mount")
        self.fails("make a file system of type tmpfs")

    def test_no_pivot(self):
        self.b.config["process"]["args"] = ["sh", "-c", "ls /; touch /x"]
        self.b.write()
        self.use("EPERM", "mount")
        r = self.runc("run", "--no-pivot", self.id)
        self.assertIn("Read-only", r.stderr)
        self.assertEqual(r.stdout.split(), ["bin", "dev", "etc", "proc", "sys", "tmp"])

    def test_a_shared_root(self):
        """rootfsPropagation shared: what is mounted in there, and our own mounts, stay off the host."""
        self.b.config["linux"]["rootfsPropagation"] = "shared"
        self.b.config["process"]["capabilities"]["bounding"].append("CAP_SYS_ADMIN")
        self.b.config["process"]["capabilities"]["effective"].append("CAP_SYS_ADMIN")
        self.b.config["process"]["capabilities"]["permitted"].append("CAP_SYS_ADMIN")
        before = pathlib.Path("/proc/self/mountinfo").read_text()
        for before_runc in ((), ("unshare", "-m", "--propagation", "shared")):
            self.use("EPERM", "mount", before_runc)
            self.assertIn("shared:", self.sh("mount -t tmpfs x /tmp; grep ' / / ' /proc/self/mountinfo; grep /rootfs / /proc/self/mountinfo || true"))
            self.assertEqual(pathlib.Path("/proc/self/mountinfo").read_text(), before)

    def test_preserved_and_inherited_descriptors(self):
        r, w = os.pipe()
        os.write(w, b"through")
        os.close(w)
        os.dup2(r, 3)
        os.dup2(r, 77)
        self.addCleanup(os.close, 77)
        for error in ERRORS:
            self.use(error, "close_range")
            self.b.config["process"]["args"] = ["sh", "-c", "ls /proc/self/fd"]
            self.b.write()
            out = self.runc("run", "--preserve-fds", "1", self.id, pass_fds=(3, 77))
            self.assertEqual(out.stdout.split()[:4], ["0", "1", "2", "3"], out.stderr)
            self.assertEqual(len(out.stdout.split()), 5)  # and ls's own


class SpecForbidden(Filtered, test_runc.Spec):
    pass


class SpecOld(Filtered, test_runc.Spec):
    error = "ENOSYS"


class LifeForbidden(Filtered, test_runc.Life):
    pass


class LifeOld(Filtered, test_runc.Life):
    error = "ENOSYS"


class RootfsForbidden(test_rootfs.Rootfs):
    """The attacks of class A, with the old ways."""
    error = "EPERM"

    def setUp(self):
        tools = tempfile.TemporaryDirectory()
        self.addCleanup(tools.cleanup)
        self.runtime = wrapper(tools.name, self.error, "all")
        super().setUp()


class RootfsOld(RootfsForbidden):
    error = "ENOSYS"


def load_tests(loader, tests, pattern):
    """Not the classes that were only imported."""
    suite = unittest.TestSuite()
    for c in (Filters, Each, SpecForbidden, SpecOld, LifeForbidden, LifeOld, RootfsForbidden, RootfsOld):
        suite.addTests(loader.loadTestsFromTestCase(c))
    return suite


if __name__ == "__main__":
    unittest.main()
