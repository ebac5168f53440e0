"""Attacks through checkpoint and restore: names of mounts, images that hold more than they may."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

INTEGRATION = pathlib.Path(__file__).resolve().parent.parent / "integration"
WITHOUT = INTEGRATION / "without.py"
sys.path.insert(0, str(INTEGRATION))

from casco import program  # noqa: E402
from checkpointed import Checkpointed, StubbedCriu, why_no_criu  # noqa: E402


class Names(StubbedCriu):
    """CVE-2026-119101, CVE-2026-115520: a container that chooses what its mounts are called."""

    def test_a_link_in_place_of_a_mount_point(self):
        """/m is bound by config.json; its name then leads elsewhere.  No path of the container's goes into the images as
        the name of a mount, so there is nothing that restore could mistake for a folder of the host's."""
        secret = self.top / "secret"
        secret.mkdir()
        (self.b.root / "way").mkdir()
        self.b.config["root"]["readonly"] = False
        self.b.mount("/way/m", type="bind", source=str(self.top / "data"), options=["bind"])
        self.counter()
        os.rename(self.b.root / "way", self.b.root / "was")
        os.symlink(secret, self.b.root / "way")
        r = self.say("", "checkpoint", "--leave-running", *self.paths(), self.id)
        self.assertEqual(r.returncode, 0, r.stderr)
        for key, value in self.asked()[-1]["opts"]["23"]:
            self.assertRegex(value, r"^casco-(mount-\d+|null|notify|device-\d+|cgroup-[a-z,_]+)$")
            self.assertNotIn("secret", key)
        # and on restore a token only ever means the source in config.json
        r = self.say("fail", "restore", "-d", *self.paths(), self.id + "b")
        sources = {v for k, v in self.asked()[-1]["opts"]["23"] if k.startswith("casco-mount")}
        self.assertEqual(sources, {str(self.top / "data")})
        self.assertEqual(list(secret.iterdir()), [])

    def test_a_name_that_criu_would_misread(self):
        self.b.mount("/x]:y", type="bind", source=str(self.top / "data"), options=["bind"])
        self.counter()
        r = self.say("", "checkpoint", "--leave-running", *self.paths(), self.id)
        self.assertEqual(r.returncode, 1)
        self.assertIn('has "]:" in its name', r.stderr.replace("\\", ""))

    def test_a_mount_point_that_is_a_link_to_the_host(self):
        """restore makes missing mount points: inside the root, whatever links say."""
        outside = self.top / "outside"
        outside.mkdir()
        self.b.mount("/l/new/dir", type="tmpfs", source="tmpfs")
        os.symlink(outside, self.b.root / "l")
        self.b.write()
        self.images.mkdir()
        (self.images / "descriptors.json").write_text("[]")
        self.say("fail", "restore", "-d", *self.paths(), self.id)
        self.assertEqual(list(outside.iterdir()), [])


class Descriptors(StubbedCriu):
    def test_criu_gets_nothing_of_the_callers(self):
        """A program that reads bytes from outside as root: not with the caller's files at hand, on any kernel."""
        self.prepare_restore()
        env = {**os.environ, "PATH": self.path, "STUB_CRIU": "fail", "STUB_CRIU_LOG": str(self.log)}
        for filtered in ([], [sys.executable, WITHOUT, "ENOSYS", "close_range"], [sys.executable, WITHOUT, "EPERM", "all"]):
            with self.subTest(filtered), open(self.top / "secret", "w") as secret:
                subprocess.run([*filtered, program("runc"), "--root", self.state, "restore", "-d", *self.paths(), self.id],
                               cwd=self.b.path, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                               env=env, pass_fds=[secret.fileno()], timeout=30, check=False)
                self.assertEqual(self.asked()[-1]["files"], [])


class Namespaces(StubbedCriu):
    def test_images_without_namespaces(self):
        """criu makes the namespaces that the images name.  With none named the process is in the host's, which a
        container that may mount, and so is not looked at for its mounts, must not get either."""
        process = self.b.config["process"]
        process["noNewPrivileges"] = False
        every = json.loads(self.runc("features").stdout)["linux"]["capabilities"]
        process["capabilities"] = {"bounding": every, "effective": every, "permitted": every}
        self.prepare_restore()
        r = self.say("pid notify=post-restore notify=pre-resume", "restore", "-d", *self.paths(), self.id)
        self.assertEqual(r.returncode, 1)
        self.assertIn("the images do not fit config.json: a process is outside the container's namespace", r.stderr)
        self.nothing_left()


@unittest.skipIf(why_no_criu(), f"no usable criu: {why_no_criu()}")
class HostMounts(Checkpointed):
    def test_nothing_is_mounted_on_the_host(self):
        """Not even for a moment: restore works in a mount namespace of its own, also when it is killed in the middle."""
        self.counter()
        self.start("checkpoint", *self.paths(), self.id)
        before = pathlib.Path("/proc/self/mountinfo").read_text()
        p = subprocess.Popen([program("runc"), "--root", self.state, "restore", "-d", *self.paths(), self.id], cwd=self.b.path,
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seen = 0
        while p.poll() is None:
            self.assertEqual(pathlib.Path("/proc/self/mountinfo").read_text(), before)
            seen += 1
            if (self.state / self.id / "state.json").exists():
                p.kill()
        p.wait()
        self.assertGreater(seen, 0)
        self.assertEqual(pathlib.Path("/proc/self/mountinfo").read_text(), before)
        self.assertEqual(self.runc("delete", "-f", self.id).returncode, 0)


if __name__ == "__main__":
    unittest.main()
