"""Who the process is: users, groups, capabilities, its environment."""
import json
import os
import pathlib
import unittest

from attack import Attack


class Identity(Attack):
    STATUS = ("/bin/grep", "-E", "^(Uid|Gid|Groups|Cap)", "/proc/self/status")

    def status(self, text):
        return {k: v.split() for k, v in (line.split(":", 1) for line in text.splitlines() if ":" in line)}

    def test_non_root_has_no_capabilities(self):
        """CVE-2016-8867, CVE-2018-10856"""
        config = self.config(*self.STATUS, user={"uid": 1000, "gid": 1000})
        config["process"]["capabilities"]["ambient"] = []
        s = self.status(self.run_config(config).stdout)
        self.assertEqual(s["Uid"], ["1000"] * 4)
        self.assertEqual((s["CapEff"], s["CapPrm"], s["CapInh"], s["CapAmb"]), ([16 * "0"],) * 4)

    def test_no_inheritable_capabilities(self):
        """CVE-2022-24769, CVE-2022-29162"""
        self.assertFalse(self.config()["process"]["capabilities"].get("inheritable"))
        with self.running(self.config("/bin/sleep", "1000")) as name:
            s = self.status(self.runc("exec", "--cap", "CAP_NET_ADMIN", name, *self.STATUS).stdout)
            self.assertEqual(s["CapInh"], [16 * "0"])
            self.assertTrue(int(s["CapEff"][0], 16) & 1 << 12)

    def test_supplementary_groups_are_only_those_asked_for(self):
        """CVE-2022-36109, CVE-2023-25173, CVE-2022-2989"""
        config = self.config(*self.STATUS, user={"uid": 7, "gid": 8, "additionalGids": [9, 10]})
        s = self.status(self.run_config(config).stdout)
        self.assertEqual(s["Gid"], ["8"] * 4)
        self.assertEqual(set(s["Groups"]), {"8", "9", "10"})  # the primary one too: files deny by it
        s = self.status(self.run_config(self.config(*self.STATUS)).stdout)
        self.assertEqual([g for g in s["Groups"] if g != "0"], [])

    def test_ids_out_of_range(self):
        """CVE-2024-40635, CVE-2026-46680"""
        passwd = self.rootfs / "etc" / "passwd"
        passwd.write_text("root:x:0:0::/:/bin/sh\n4294967296:x:0:0::/:/bin/sh\n-1:x:0:0::/:/bin/sh\n1000:x:0:0::/:\n")
        for uid in (4294967296, 4294967295, -1, 18446744073709551616, 1.5, "0", "1000"):
            with self.subTest(uid):
                self.assert_clear_error(self.run_config(self.config("/bin/id", user={"uid": uid, "gid": 0})))
        with self.running(self.config("/bin/sleep", "1000")) as name:
            for user in ("4294967296", "4294967295", "-1", "0:4294967296", "0x0", " 0", "1:"):
                with self.subTest(user):
                    self.assert_clear_error(self.runc("exec", "--user", user, name, "/bin/id"))

    def test_numbers_are_numbers(self):
        """CVE-2016-3697, CVE-2026-30892"""
        (self.rootfs / "etc" / "passwd").write_text("root:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\n1:x:0:0::/:/bin/sh\n")
        with self.running(self.config("/bin/sleep", "1000")) as name:
            for user in (1, 1000):
                s = self.status(self.runc("exec", "--user", str(user), name, *self.STATUS).stdout)
                self.assertEqual((s["Uid"], s["Gid"]), ([str(user)] * 4, ["0"] * 4))

    def test_no_new_privileges(self):
        self.assertTrue(self.config()["process"]["noNewPrivileges"])
        r = self.run_config(self.config("/bin/grep", "NoNewPrivs", "/proc/self/status"))
        self.assertEqual(r.stdout.split(), ["NoNewPrivs:", "1"])

    def test_two_containers_share_no_environment(self):
        """CVE-2021-21334"""
        first = self.run_config(self.config("/bin/env", env=["PATH=/bin", "A=1"])).stdout
        second = self.run_config(self.config("/bin/env", env=["PATH=/bin", "B=2"])).stdout
        self.assertIn("A=1", first)
        self.assertNotIn("A=1", second)
        self.assertNotIn("CASCO", first + second)
        self.assertNotIn(str(pathlib.Path.home()) + "/", second)

    def test_capabilities_of_exec_are_the_containers(self):
        """CVE-2025-27612, CVE-2022-27650: neither more than init's nor any inheritable."""
        config = self.config("/bin/sleep", "1000")
        for kind in ("bounding", "effective", "permitted"):
            config["process"]["capabilities"][kind] = ["CAP_KILL", "CAP_AUDIT_WRITE"]
        with self.running(config) as name:
            for flags in ((), ("--user", "0:0"), ("--cwd", "/tmp")):
                s = self.status(self.runc("exec", *flags, name, *self.STATUS).stdout)
                self.assertEqual(int(s["CapBnd"][0], 16), 1 << 5 | 1 << 29)
                self.assertEqual(int(s["CapEff"][0], 16) & ~(1 << 5 | 1 << 29), 0)
                self.assertEqual(s["CapInh"], [16 * "0"])
            s = self.status(self.runc("exec", "--user", "1000:1000", name, *self.STATUS).stdout)
            self.assertEqual((s["CapEff"], s["CapInh"], s["CapAmb"]), ([16 * "0"],) * 3)

    def test_exec_for_another_user_has_no_capabilities(self):
        """CVE-2018-10856 at exec: not even with one that is asked for, unless it is ambient."""
        with self.running(self.config("/bin/sleep", "1000")) as name:
            process = self.scratch.path / "process.json"
            caps = ["CAP_NET_ADMIN", "CAP_KILL"]
            process.write_text(json.dumps({"args": list(self.STATUS), "cwd": "/", "env": ["PATH=/bin"],
                                           "user": {"uid": 1000, "gid": 1000},
                                           "capabilities": {"bounding": caps, "effective": caps, "permitted": caps}}))
            s = self.status(self.runc("exec", "--process", process, name).stdout)
            self.assertEqual((s["CapEff"], s["CapInh"], s["CapAmb"]), ([16 * "0"],) * 3)

    def test_groups_of_the_caller_stay_outside(self):
        """setgroups is always called: the caller's groups are the host's."""
        def with_groups():
            os.setgroups([4242, 4343])

        for user in ({"uid": 0, "gid": 0}, {"uid": 7, "gid": 8}):
            s = self.status(self.run_config(self.config(*self.STATUS, user=user), preexec_fn=with_groups).stdout)
            self.assertEqual(set(s["Groups"]), {str(user["gid"])})
        with self.running(self.config("/bin/sleep", "1000")) as name:
            s = self.status(self.runc("exec", name, *self.STATUS, preexec_fn=with_groups).stdout)
            self.assertEqual(set(s["Groups"]) - {"0"}, set())

    def test_environment_is_literal(self):
        """CVE-2026-57231: nothing of ours by a name without a value, by a pattern or by a variable."""
        env = {**os.environ, "CASCO_SECRET": "of the host"}
        for entry in ("CASCO_SECRET", "CASCO*", "=x", ""):
            with self.subTest(entry):
                r = self.run_config(self.config("/bin/env", env=["PATH=/bin", entry]), env=env)
                self.assertNotIn("of the host", r.stdout + r.stderr)
                if r.returncode:
                    self.assert_clear_error(r)
        r = self.run_config(self.config("/bin/env", env=["PATH=/bin", "A=$CASCO_SECRET", "B=*", "C=${PATH}"]), env=env)
        self.assertEqual({"A=$CASCO_SECRET", "B=*", "C=${PATH}"} - set(r.stdout.splitlines()), set())

    def test_home_of_a_hostile_passwd(self):
        """CVE-2022-4318, CVE-2024-9676, CVE-2025-4437, CVE-2026-47262: one line, a file, and not for ever."""
        passwd = self.rootfs / "etc" / "passwd"

        def fifo():
            os.mkfifo(passwd)

        def big():
            with open(passwd, "wb") as f:
                f.truncate(1 << 40)

        for make in (lambda: passwd.symlink_to("/dev/zero"), lambda: passwd.symlink_to(self.host / "file"), fifo, big,
                     lambda: passwd.mkdir(), lambda: passwd.write_text("x:x:7:7::/home\tx:y\n"),
                     lambda: passwd.write_text("x:x:7:7::relative:\n"), lambda: passwd.write_text("7:x:0:0::/root:\n")):
            make()
            r = self.run_config(self.config("/bin/sh", "-c", "echo \"HOME=$HOME\"", user={"uid": 7, "gid": 7}))
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertEqual(r.stdout.count("\n"), 1)
            self.assertTrue(r.stdout.startswith("HOME=/"), r.stdout)
            self.assertNotIn("secret", r.stdout)
            if passwd.is_dir() and not passwd.is_symlink():
                passwd.rmdir()
            else:
                passwd.unlink()


if __name__ == "__main__":
    unittest.main()
