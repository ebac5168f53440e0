"""Attacks through checkpoint and restore: names of mounts, images that hold more than they may."""
import json
import os
import pathlib
import struct
import subprocess
import sys
import time
import unittest

INTEGRATION = pathlib.Path(__file__).resolve().parent.parent / "integration"
WITHOUT = INTEGRATION / "without.py"
sys.path.insert(0, str(INTEGRATION))

from casco import program  # noqa: E402
from checkpointed import Checkpointed, StubbedCriu, why_no_criu  # noqa: E402
from stub_criu import field  # noqa: E402


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


class Filters(StubbedCriu):
    """The kernel shows a restored process's filters to criu alone: its image is read before criu may read it."""

    SAME, OTHER = b"\x06\0\0\0\0\0\xff\x7f", b"\x06\0\0\0\x01\0\x05\0"  # allow all, refuse all

    def image(self, *filters, magic=(0x54564319, 0x64413049)):
        body = b"".join(field(1, field(1, f)) for f in filters)
        (self.images / "seccomp.img").write_bytes(struct.pack("<III", *magic, len(body)) + body)

    def refused(self, text):
        self.log.unlink(missing_ok=True)
        r = self.say("", "restore", "-d", *self.paths(), self.id)
        self.assertEqual(r.returncode, 1)
        self.assertIn("the images do not fit config.json: " + text, r.stderr)
        self.assertNotIn("RESTORE", [a["type"] for a in self.asked()])
        self.nothing_left()

    def test_another_filter_than_the_profiles(self):
        self.b.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW",
                                             "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}
        self.prepare_restore()
        self.refused("there is no seccomp.img")
        for filters in ([], [self.SAME], [self.OTHER], [self.OTHER, self.SAME]):
            self.image(*filters)
            self.refused("another seccomp filter than its profile" if filters else "there is no seccomp filter")
        self.image(self.SAME, magic=(0x64413049, 0x54564319))
        self.refused("seccomp.img is no image")
        (self.images / "seccomp.img").unlink()
        os.mkfifo(self.images / "seccomp.img")
        self.refused("seccomp.img is no image")

    def test_the_profiles_own_goes_to_criu(self):
        """The filter that restore itself compiled, as its cache has it."""
        self.b.config["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW",
                                             "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}
        self.prepare_restore()
        self.refused("there is no seccomp.img")
        kept = [p.read_bytes() for p in (self.state / ".seccomp").iterdir()]
        self.assertEqual(len(kept), 1)
        tried = set()
        for skip in range(0, len(kept[0]), 4):  # behind what the cache writes in front of it
            if (len(kept[0]) - skip) % 8 == 0:
                self.image(kept[0][skip:])
                self.log.unlink(missing_ok=True)
                self.say("fail", "restore", "-d", *self.paths(), self.id)
                tried.add("RESTORE" in [a["type"] for a in self.asked()])
                if True in tried:
                    break
        self.assertEqual(tried, {True, False})


@unittest.skipIf(why_no_criu(), f"no usable criu: {why_no_criu()}")
class Nested(Checkpointed):
    def test_a_process_with_mounts_of_its_own(self):
        """Made by one who might, restored for one who may not: there neither masks nor read-only paths hold."""
        caps = ["CAP_SYS_ADMIN", "CAP_KILL"]
        process = self.b.config["process"]
        (self.top / "data").mkdir()
        self.b.mount("/data", type="bind", source=str(self.top / "data"), options=["rbind", "rw"])
        (self.b.root / "bin/unshare").symlink_to("busybox")
        process["args"] = ["sh", "-c", "unshare -m sleep 100 & i=0; while :; do i=$((i+1)); echo $i >/data/n; sleep 0.05; done"]
        process["capabilities"] = {k: caps for k in ("bounding", "effective", "permitted")}
        self.b.write()
        self.start("run", "-d", self.id)
        self.counts()
        self.start("checkpoint", *self.paths(), self.id)
        self.assertRegex(self.start("restore", "-d", *self.paths(), self.id, status=1),
                         r"process \d+ is in another mnt namespace than the container's first")
        self.assertEqual(list(self.state.glob("[!.]*")), [])
        before = self.number()
        time.sleep(0.2)
        self.assertEqual(self.number(), before, "nothing of it ran")


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
