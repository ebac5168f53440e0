"""Limits and devices."""
import contextlib
import json
import os
import pathlib
import resource
import subprocess
import unittest

import attack
from attack import Attack

# /dev/fuse: whoever has the node may open it, unless the cgroup says no.
FUSE = "mknod /tmp/fuse c 10 229 && exec 3<>/tmp/fuse && echo opened"


class Cgroups(Attack):
    def config(self, *args, **process):
        config = super().config(*args, **process)
        config["root"]["readonly"] = False
        return config

    def with_mknod(self, *args):
        config = self.config(*args)
        for kind in ("bounding", "effective", "permitted"):
            config["process"]["capabilities"][kind].append("CAP_MKNOD")
        return config

    def test_devices_are_denied_by_default(self):
        """GHSA-g54h-m393-cpwq: also where the list does not begin with a denial of all."""
        for rules in ([], [{"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rwm"}],
                      [{"allow": False, "access": "rwm"}], None):
            for wrap in ((), attack.V2_VIEW):
                with self.subTest(rules=rules, v2=bool(wrap)):
                    config = self.with_mknod("/bin/sh", "-c", FUSE)
                    (self.rootfs / "tmp" / "fuse").unlink(missing_ok=True)
                    config["linux"]["resources"] = {"devices": rules} if rules is not None else {}
                    r = self.run_config(config, wrap=wrap)
                    self.assertNotIn("opened\n", r.stdout)
                    self.assertIn("not permitted", r.stderr)

    def test_what_is_allowed_works(self):
        """The other side of it."""
        for wrap in ((), attack.V2_VIEW):
            config = self.with_mknod("/bin/sh", "-c", FUSE + "; echo x > /dev/null && head -c 1 /dev/zero | wc -c")
            (self.rootfs / "tmp" / "fuse").unlink(missing_ok=True)
            config["linux"]["resources"] = {"devices": [
                {"allow": False, "access": "rwm"}, {"allow": True, "type": "c", "major": 10, "minor": 229, "access": "rw"}]}
            r = self.run_config(config, wrap=wrap)
            self.assertEqual(r.stdout, "opened\n1\n", r.stderr)

    def test_unified_key_leaves_the_folder(self):
        """GHSA-5g49-rx9x-qfc6"""
        for key in ("../cgroup.max.depth", "../../x", "/etc/passwd", "a/../../cgroup.freeze"):
            config = self.config()
            config["linux"]["resources"] = {"unified": {key: "1"}}
            self.assert_clear_error(self.run_config(config, wrap=attack.V2_VIEW))

    def test_unified_key_of_an_update_leaves_the_folder(self):
        """GHSA-5g49-rx9x-qfc6, by the other door; and a name that is a line for the kernel to split."""
        name = f"attack-{os.getpid()}-unified"
        config = self.config("/bin/sleep", "1000")
        self.write(config)
        log = open(self.scratch.path / "run.log", "wb")
        try:
            with log:
                subprocess.run([*attack.V2_VIEW, *self.command("run", "--detach", "--bundle", self.bundle, name)], check=True,
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            for resources in ({"unified": {"../cgroup.max.depth": "1"}}, {"unified": {"..": "1"}}, {"unified": {"": "1"}},
                              {"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]},
                              {"rdma": {"a hca_handle=1\nb": {"hcaHandles": 1}}},
                              {"network": {"priorities": [{"name": "lo 1\neth0", "priority": 1}]}}):
                (self.bundle / "update.json").write_text(json.dumps(resources))
                r = self.runc("update", "-r", self.bundle / "update.json", name, wrap=attack.V2_VIEW)
                self.assert_clear_error(r)
        finally:
            self.runc("delete", "--force", name, wrap=attack.V2_VIEW)

    def test_cgroup_path_does_not_climb(self):
        config = self.config("/bin/cat", "/proc/self/cgroup")
        config["linux"]["cgroupsPath"] = f"/../../../../attack-{os.getpid()}-climb"
        r = self.run_config(config)
        self.assertEqual(r.returncode, 0, r.stderr)
        for bad in ("/", "/..", "/x/.."):
            config["linux"]["cgroupsPath"] = bad
            self.assert_clear_error(self.run_config(config))

    def test_cgroup_mount_is_read_only(self):
        """CVE-2023-25809, CVE-2022-0492"""
        script = ("mkdir /sys/fs/cgroup/x; for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/x; "
                  "(exec 3<>$d/release_agent) && echo open; done; true")
        r = self.run_config(self.config("/bin/sh", "-c", script + "; ls -d /sys/fs/cgroup/x /sys/fs/cgroup/*/x"))
        self.assertEqual(r.stdout, "")
        for agent in pathlib.Path("/sys/fs/cgroup").glob("*/release_agent"):
            self.assertNotIn("evil", agent.read_text())

    def test_exec_stays_below_the_containers_cgroup(self):
        for wrap in ((), attack.V2_VIEW):
            self.exec_below(wrap)

    def exec_below(self, wrap):
        self.write(self.config("/bin/sleep", "1000"))
        name = f"attack-{os.getpid()}-sub"
        try:
            with open(self.scratch.path / "log", "wb") as log:
                subprocess.run([*wrap, *self.command("run", "-d", "--bundle", self.bundle, name)], check=True,
                               stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            inside = self.runc("exec", name, "/bin/cat", "/proc/self/cgroup", wrap=wrap)
            self.assertIn(name, inside.stdout, inside.stderr)
            for sub in ("../..", "/..", "/../../", "x/../../.."):
                r = self.runc("exec", "--cgroup", sub, name, "/bin/cat", "/proc/self/cgroup", wrap=wrap)
                if r.returncode == 0:
                    self.assertEqual(r.stdout, inside.stdout)
                else:
                    self.assert_clear_error(r)
        finally:
            self.runc("delete", "--force", name, wrap=wrap)

    def test_cgroups_deeper_than_we_have_descriptors(self):
        """A container that may make cgroups must not become one that cannot be deleted."""
        for controller in ("pids", "freezer"):  # the second is where processes are looked for
            with self.subTest(controller), self.running(self.config("/bin/sleep", "1000")) as name:
                paths = json.loads((self.root / name / "state.json").read_text())["cgroup_paths"]
                top = pathlib.Path(paths.get(controller) or next(iter(paths.values())))
                inner = "sleep 1000 & echo $! > cgroup.procs" if controller == "freezer" else "true"
                subprocess.run(["sh", "-c", f"for i in $(seq 600); do mkdir a b && cd a || exit; done; {inner}"],
                               cwd=top, check=True, stdout=subprocess.DEVNULL)
                ps = self.runc("ps", "--format", "json", name)
                self.assertEqual(len(json.loads(ps.stdout or "[]")), 2 if controller == "freezer" else 1, ps.stderr)
                r = self.runc("delete", "--force", name,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024)))
                self.assertEqual(r.returncode, 0, r.stderr)
                self.assertFalse(top.exists())

    def test_a_cgroup_with_a_hidden_name_hides_nothing(self):
        """Whoever may make cgroups may name them: a process in `.x` is listed, killed and cleaned up all the same."""
        config = self.config("/bin/sleep", "1000")
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "pid"]
        with self.running(config) as name:
            paths = json.loads((self.root / name / "state.json").read_text())["cgroup_paths"]
            subprocess.run(self.command("exec", "-d", name, "/bin/sleep", "1001"), check=True, timeout=20,
                           stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            pids = json.loads(self.runc("ps", "--format", "json", name).stdout)
            self.assertEqual(len(pids), 2)
            for path in set(paths.values()):
                hidden = pathlib.Path(path) / ".x"
                hidden.mkdir(exist_ok=True)
                with contextlib.suppress(OSError):  # a cpuset without processors
                    (hidden / "cgroup.procs").write_text(str(max(pids)))
            self.assertEqual(json.loads(self.runc("ps", "--format", "json", name).stdout), pids)
            r = self.runc("delete", "--force", name)
            self.assertEqual(r.returncode, 0, r.stderr)
            self.assertFalse(any(pathlib.Path(p).exists() for p in paths.values()))
            self.assertFalse(any(os.path.exists(f"/proc/{p}") and open(f"/proc/{p}/stat").read().split()[2] != "Z" for p in pids))

    def test_pids_limit_of_nought_is_no_freedom(self):
        """runc 1.4: 0 is not "unlimited"."""
        config = self.config("/bin/sh", "-c", "(echo forked) & wait")
        config["linux"]["resources"]["pids"] = {"limit": 0}
        r = self.run_config(config)
        self.assertNotIn("forked", r.stdout)

    def test_memory_limit_holds(self):
        config = self.config("/bin/sh", "-c", "x=0123456789abcdef; while :; do x=$x$x; done")
        config["linux"]["resources"]["memory"] = {"limit": 32 << 20, "swap": 32 << 20}
        r = self.run_config(config)
        self.assertEqual(r.returncode, 137, r.stderr)


if __name__ == "__main__":
    unittest.main()
