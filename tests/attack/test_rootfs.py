"""Paths inside a rootfs that an attacker wrote."""
import os
import stat
import unittest

import attack
from attack import Attack

RACES = int(os.environ.get("CASCO_RACES", "25"))


class Rootfs(Attack):
    def without_dev(self, config):
        config["mounts"] = [m for m in config["mounts"] if not m["destination"].startswith("/dev")]
        return config

    def bind(self, source, destination, *options):
        return {"destination": destination, "type": "bind", "source": str(source), "options": ["bind", *options]}

    def test_symlink_as_mount_target_resolves_inside(self):
        """CVE-2019-18837"""
        (self.rootfs / "link").symlink_to(self.host)
        config = self.config("/bin/cat", f"{self.host}/dir/f")
        (self.scratch.path / "source").mkdir()
        (self.scratch.path / "source" / "f").write_text("mounted inside\n")
        config["mounts"].append(self.bind(self.scratch.path / "source", "/link/dir"))
        r = self.run_config(config)
        self.assertEqual((r.returncode, r.stdout), (0, "mounted inside\n"), r.stderr)

    def test_dotdot_in_mount_target(self):
        (self.rootfs / "up").symlink_to("../../../../../../../../" + str(self.host))
        config = self.config()
        config["mounts"].append(self.bind(self.scratch.path, "/up/new/target"))
        config["mounts"].append(self.bind(self.scratch.path, f"/../../../..{self.host}/other"))
        self.assertEqual(self.run_config(config).returncode, 0)

    def test_mount_points_are_not_made_on_the_host_in_a_race(self):
        """CVE-2021-30465, CVE-2024-45310"""
        volume = self.scratch.path / "volume"
        (volume / "a").mkdir(parents=True)
        (volume / "b").symlink_to("/../../../../../../../.." + str(self.host))
        config = self.config()
        config["root"]["readonly"] = False
        config["mounts"].append(self.bind(volume, "/vol", "rw"))
        for i in range(3):
            config["mounts"].append(self.bind(self.host / "dir", f"/vol/a/made{i}/deeper"))
        with attack.swapping(volume / "a", volume / "b"):
            for _ in range(RACES):
                self.run_config(config)  # may fail: it was swapped under way
                self.check_host()

    def false_null(self, target, *args):
        """A volume as /dev, so that the runtime makes no devices; its null leads to target."""
        volume = self.scratch.path / "dev"
        volume.mkdir()
        (volume / "null").symlink_to(target)
        (self.rootfs / "masked").write_text("to be hidden\n")
        (self.rootfs / "folder").mkdir()
        (self.rootfs / "folder" / "file").write_text("to be hidden\n")
        config = self.without_dev(self.config(*args))
        config["mounts"].append(self.bind(volume, "/dev", "rw"))
        config["linux"].update(maskedPaths=["/masked", "/folder"], readonlyPaths=[])
        return config

    def test_masked_file_through_a_false_dev_null(self):
        """CVE-2025-31133, CVE-2025-62161: a mask is the null device, or there is no container.

        Control: with the mask's source looked up in the root, the secret shows."""
        (self.rootfs / "secret").write_text("not for you\n")
        r = self.run_config(self.false_null("/secret", "/bin/sh", "-c", "cat /masked /folder/*; echo x > /masked; cat /masked"))
        self.assertNotIn("not for you", r.stdout)
        self.assertNotIn("to be hidden", r.stdout)
        self.assertNotIn("x\n", r.stdout)
        self.assertEqual((self.rootfs / "secret").read_text(), "not for you\n")

    def test_masked_file_does_not_become_core_pattern(self):
        """CVE-2025-31133: the escape that it was used for; only read here."""
        r = self.run_config(self.false_null("/proc/sys/kernel/core_pattern", "/bin/sh", "-c", "cat /masked && echo end"))
        self.assertIn(r.stdout, ("", "end\n"))

    def test_dev_as_a_symlink_to_the_host(self):
        """CVE-2026-41579, CVE-2026-47766"""
        (self.rootfs / "dev").rmdir()
        (self.rootfs / "dev").symlink_to(self.host)
        (self.host / "ptmx").write_text("to stay\n")
        self.before = attack.tree(self.host)
        self.run_config(self.without_dev(self.config()))
        up = self.rootfs / "dev"
        up.unlink()
        up.symlink_to("../../host")
        self.run_config(self.without_dev(self.config()))

    def test_console_as_a_symlink(self):
        """CVE-2026-88264"""
        (self.rootfs / "dev" / "console").symlink_to(f"/../../../../../../..{self.host}/made")
        config = self.without_dev(self.config())
        config["mounts"].append({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                                 "options": ["newinstance", "ptmxmode=0666", "mode=0620"]})
        (self.rootfs / "dev" / "pts").mkdir()
        config["process"]["terminal"] = True
        config["root"]["readonly"] = False
        console = attack.ConsoleSocket(self.scratch.path / "console")
        self.write(config)
        try:
            self.runc("run", "--detach", "--bundle", self.bundle, "--console-socket", console.path, f"attack-{os.getpid()}-console")
        finally:
            console.close()
            self.runc("delete", "--force", f"attack-{os.getpid()}-console")

    def test_std_streams_stay_the_hosts(self):
        """CVE-2026-88265"""
        (self.rootfs / "dev" / "null").write_text("")
        config = self.without_dev(self.config(user={"uid": 1000, "gid": 1000}))
        config["mounts"].append(self.bind(self.host / "file", "/dev/null"))
        self.run_config(config)

    def test_readonly_root_is_read_only(self):
        """CVE-2026-115521"""
        config = self.config("/bin/sh", "-c", "echo x > /written")
        config["root"]["readonly"] = True
        self.assertNotEqual(self.run_config(config).returncode, 0)
        self.assertFalse((self.rootfs / "written").exists())

    def test_cwd_through_a_symlink(self):
        """CVE-2026-55686"""
        (self.rootfs / "work").symlink_to(f"/../../../../../..{self.host}")
        config = self.config(cwd="/work/new")
        config["root"]["readonly"] = False
        self.run_config(config)

    def test_tmpcopyup_of_a_file_that_turns_into_a_device(self):
        """Who shares the folder exchanges its files for nodes of the host's devices: to open one can start a
        watchdog or wind a tape.  This one only gives more than there is room for."""
        (self.rootfs / "data").mkdir()
        a, b = self.rootfs / "data/a", self.rootfs / "data/b"
        a.write_text("a")
        os.mknod(b, 0o600 | stat.S_IFCHR, os.makedev(1, 5))
        config = self.config("/bin/true")
        config["mounts"].append({"destination": "/data", "type": "tmpfs", "source": "tmpfs",
                                 "options": ["tmpcopyup", "size=64k"]})
        with attack.swapping(a, b):
            for _ in range(4 * RACES):
                r = self.run_config(config)
                self.assertEqual(r.returncode, 0, r.stderr)

    def test_tmpcopyup_from_a_symlink(self):
        (self.rootfs / "copy").symlink_to(self.host)
        config = self.config("/bin/sh", "-c", "cat /copy/file; cat /*/file; ls -R /copy")
        config["mounts"].append({"destination": "/copy", "type": "tmpfs", "source": "tmpfs",
                                 "options": ["tmpcopyup", "rw"]})
        r = self.run_config(config)
        self.assertNotIn("the host's secret", r.stdout)

    def test_proc_and_sys_must_be_folders(self):
        """CVE-2025-54867, CVE-2023-27561, CVE-2023-28642, CVE-2019-19921"""
        for name in ("proc", "sys"):
            with self.subTest(name):
                (self.rootfs / name).rmdir()
                (self.rootfs / name).symlink_to("/tmp")
                self.assert_clear_error(self.run_config(self.config()))
                (self.rootfs / name).unlink()
                (self.rootfs / name).mkdir()


if __name__ == "__main__":
    unittest.main()
