"""Writes of the runtime to procfs while an attacker exchanges what is under its feet."""
import os
import pathlib
import shutil
import unittest

import attack
from attack import Attack

RACES = int(os.environ.get("CASCO_RACES", "25"))
KEY = "net.ipv4.ip_default_ttl"


class Redirects(Attack):
    def setUp(self):
        super().setUp()
        # what a false /proc has: the files that the runtime would write
        self.false = self.host / "false"
        for name in ("self", "thread-self", "1"):
            (self.false / name / "attr" / "apparmor").mkdir(parents=True)
            for file in ("attr/exec", "attr/apparmor/exec", "oom_score_adj", "uid_map", "setgroups"):
                (self.false / name / file).write_text("")
        (self.false / "sys/net/ipv4").mkdir(parents=True)
        (self.false / "sys/net/ipv4/ip_default_ttl").write_text("")
        self.before = attack.tree(self.host)

    def hostile(self, *args, **process):
        config = self.config(*args, oomScoreAdj=77, **process)
        config["linux"]["sysctl"] = {KEY: "77"}
        return config

    def test_proc_exchanged_during_the_start(self):
        """CVE-2025-52881, CVE-2025-62596: none of the writes lands in a false /proc.

        The guard is procfs.c's descriptor of the host's, opened before anything of the image's is looked
        at; test_a_false_proc shows what happens without it."""
        proc, other = self.rootfs / "proc", self.rootfs / "other"
        other.symlink_to(self.false)
        config = self.hostile()
        with attack.swapping(proc, other):
            for _ in range(RACES):
                self.run_config(config)  # may fail: /proc was no folder
                self.check_host()
        if proc.is_symlink():
            attack.rename_exchange(proc, other)

    def test_a_false_proc(self):
        """CVE-2025-52881 without the race: no procfs is asked for, and the image brings one of its own.

        What is to be written is written to the kernel, or the start fails; the image's files stay empty."""
        (self.rootfs / "proc").rmdir()
        shutil.copytree(self.false, self.rootfs / "proc")
        before = attack.tree(self.rootfs / "proc")
        config = self.hostile("/bin/true")
        config["mounts"] = [m for m in config["mounts"] if m["destination"] != "/proc"]
        config["linux"].update(maskedPaths=[], readonlyPaths=[])
        config["root"]["readonly"] = False
        r = self.run_config(config)
        if r.returncode:
            self.assertIn("error", r.stderr)
        self.assertEqual(before, attack.tree(self.rootfs / "proc"))

    def test_a_volume_exchanged_with_a_link_to_proc(self):
        """CVE-2025-52881: the target of a mount leads into /proc at one moment and not at the next.

        What is mounted covers a file of the container's own procfs, if at all; the host's stays."""
        volume = self.scratch.path / "volume"
        (volume / "a").mkdir(parents=True)
        (volume / "b").symlink_to("/proc/self")
        config = self.hostile()
        config["root"]["readonly"] = False
        config["mounts"].append({"destination": "/vol", "type": "bind", "source": str(volume), "options": ["bind"]})
        config["mounts"].append({"destination": "/vol/a/attr", "type": "bind", "source": str(self.false / "self/attr"),
                                 "options": ["bind", "ro"]})
        ttl = pathlib.Path("/proc/sys", *KEY.split(".")).read_text()
        with attack.swapping(volume / "a", volume / "b"):
            for _ in range(RACES):
                r = self.run_config(config)
                if r.returncode:
                    self.assertIn("error", r.stderr)
                self.check_host()
        self.assertEqual(ttl, pathlib.Path("/proc/sys", *KEY.split(".")).read_text())

    def test_what_was_asked_for_is_written(self):
        """The other side of it."""
        r = self.run_config(self.hostile("/bin/cat", "/proc/sys/net/ipv4/ip_default_ttl", "/proc/self/oom_score_adj"))
        self.assertEqual(r.stdout.split(), ["77", "77"], r.stderr)

    def test_a_label_that_cannot_be_written_is_an_error(self):
        """CVE-2019-16884: never a container without the label it was to have."""
        for field in ("apparmorProfile", "selinuxLabel"):
            if field == "apparmorProfile" and pathlib.Path("/sys/module/apparmor/parameters/enabled").exists():
                continue  # a kernel that knows it loads or refuses the profile itself
            with self.subTest(field):
                r = self.run_config(self.config("/bin/cat", "/proc/self/attr/current", **{field: "no-such-label:for_us"}))
                self.assert_clear_error(r)

    def test_attr_of_the_image(self):
        """CVE-2019-19921: the image's files under /proc are covered, not written."""
        for name in ("self", "thread-self", "1"):
            (self.rootfs / "proc" / name / "attr").mkdir(parents=True)
            (self.rootfs / "proc" / name / "attr" / "exec").write_text("")
        before = attack.tree(self.rootfs / "proc")
        self.run_config(self.hostile("/bin/true", selinuxLabel="system_u:system_r:container_t:s0"))
        self.assertEqual(before, attack.tree(self.rootfs / "proc"))


if __name__ == "__main__":
    unittest.main()
