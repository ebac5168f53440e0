"""Writes of the runtime that an attacker would like to lead elsewhere; the host's own sysctls."""
import json
import os
import pathlib
import unittest

from attack import Attack


class Procfs(Attack):
    def mount(self, destination, type_, source, *options):
        return {"destination": destination, "type": type_, "source": str(source), "options": list(options)}

    def present(self, key):
        """The host's value: writing it again changes nothing."""
        return pathlib.Path("/proc/sys", *key.split(".")).read_text().strip()

    def test_nothing_but_proc_on_proc(self):
        """CVE-2019-16884"""
        for m in (self.mount("/proc", "tmpfs", "tmpfs"), self.mount("/proc", "bind", self.host, "bind"),
                  self.mount("/proc/self/attr", "bind", self.host, "bind"),
                  self.mount("/proc/sys", "bind", self.host, "rbind"),
                  self.mount("/proc", "cgroup", "cgroup"), self.mount("/proc/self", "cgroup2", "cgroup"),
                  self.mount("//proc/./self/../1", "tmpfs", "tmpfs")):
            with self.subTest(m["destination"]):
                config = self.config()
                config["mounts"].append(m)
                r = self.run_config(config)
                self.assert_clear_error(r)
                self.assertIn("proc", r.stderr)

    def test_nothing_on_proc_by_a_symlink(self):
        """CVE-2019-19921: the name says nothing of /proc, the image's link does."""
        for m in (self.mount("/way/self/attr", "bind", self.host, "bind"), self.mount("/way/fs", "tmpfs", "tmpfs"),
                  self.mount("/way/fs", "cgroup", "cgroup"), self.mount("/way/self/attr", "cgroup2", "cgroup")):
            with self.subTest(m):
                way = self.rootfs / "way"
                way.unlink(missing_ok=True)
                way.symlink_to("/proc")
                config = self.config("/bin/sh", "-c", "ls /proc/self/attr; ls /proc/fs")
                config["mounts"].append(m)
                r = self.run_config(config)
                self.assert_clear_error(r)
                self.assertIn("inside /proc", r.stderr)

    def test_no_bare_proc_without_pivot(self):
        """After a chroot the host's own /proc is still in the mount namespace, whole, and by the kernel's rule a
        licence to mount another one without masks in a user namespace."""
        config = self.config("/bin/busybox", "unshare", "-mrpf", "/bin/sh", "-c",
                             "/bin/busybox mount -t proc none /proc && echo mounted")
        for name in ("bounding", "permitted", "effective"):
            config["process"]["capabilities"][name].append("CAP_SETFCAP")
        self.write(config)
        for options in ((), ("--no-pivot",)):
            r = self.runc("run", *options, "--bundle", self.bundle, f"attack-{os.getpid()}-bare")
            self.assertNotIn("mounted", r.stdout)
            self.assertEqual(r.returncode, 1)
            self.assertIn("permission denied", r.stderr.lower())

    def test_lxcfs_files_may_be_mounted_on_proc(self):
        """The other side of it: what lxcfs puts there keeps working."""
        (self.scratch.path / "uptime").write_text("77.77 1.0\n")
        config = self.config("/bin/cat", "/proc/uptime")
        config["mounts"].append(self.mount("/proc/uptime", "bind", self.scratch.path / "uptime", "bind", "ro"))
        r = self.run_config(config)
        self.assertEqual((r.returncode, r.stdout), (0, "77.77 1.0\n"), r.stderr)

    def test_default_masks(self):
        """CVE-2017-16539, CVE-2018-10892"""
        config = self.config()
        for path in ("/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                     "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"):
            self.assertIn(path, config["linux"]["maskedPaths"])
        for path in ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"):
            self.assertIn(path, config["linux"]["readonlyPaths"])

    def test_masks_hold(self):
        config = self.config("/bin/sh", "-c", "cat /proc/kcore | wc -c; cat /proc/timer_list | wc -c;"
                             "(exec 3<>/proc/sys/kernel/core_pattern) && echo open;"
                             "(exec 3<>/proc/sysrq-trigger) && echo open; ls /sys/firmware")
        r = self.run_config(config)
        self.assertEqual(r.stdout.split(), ["0", "0"], r.stderr)

    def test_sysctl_value_is_one_value(self):
        """CVE-2022-0811: the smuggled one is of the container's own namespace."""
        for value in ("0+kernel.msgmax=4242", "0\nkernel.msgmax=4242"):
            config = self.config("/bin/cat", "/proc/sys/kernel/msgmax")
            config["linux"]["sysctl"] = {"kernel.shm_rmid_forced": value}
            self.assertNotIn("4242", self.run_config(config).stdout)

    def test_sysctl_key_is_one_name(self):
        for key in ("net/../kernel/core_pattern", "net.ipv4...kernel.core_pattern", "kernel.core_pattern",
                    "fs.mqueue/../../kernel/core_pattern", "../kernel.core_pattern"):
            with self.subTest(key):
                config = self.config()
                config["linux"]["sysctl"] = {key: self.core_pattern.strip()}  # the same: harmless if taken
                self.assert_clear_error(self.run_config(config))

    def test_sysctls_of_the_hosts_namespaces(self):
        """CVE-2022-0532"""
        for kind, key in (("network", "net.ipv4.ip_forward"), ("ipc", "kernel.shm_rmid_forced"),
                          ("ipc", "fs.mqueue.msg_max"), ("ipc", "kernel.sem")):
            with self.subTest(key):
                config = self.config()
                config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != kind]
                config["mounts"] = [m for m in config["mounts"] if m["type"] not in ("mqueue", "sysfs")]
                config["linux"]["sysctl"] = {key: self.present(key)}
                self.assert_clear_error(self.run_config(config))

    def test_nul_bytes(self):
        config = json.dumps(self.config())
        for old, new in (('"/bin/true"', '"/bin/true\\u0000x"'), ('"destination": "/proc"', '"destination": "/proc\\u0000"'),
                         ('"hostname": "', '"hostname": "a\\u0000')):
            self.assertIn(old, config)
            self.assert_clear_error(self.run_config(config.replace(old, new)))

    def test_hooks_do_not_get_the_containers_environment(self):
        """CVE-2024-0132 and its kin"""
        out = self.scratch.path / "hook-env"
        hook = self.scratch.path / "hook"
        hook.write_text(f"#!/bin/sh\ncat >/dev/null\nenv >> {out}\n")
        hook.chmod(0o755)
        config = self.config(env=["PATH=/bin", "LD_PRELOAD=/evil.so", "MARK=container"])
        config["hooks"] = {k: [{"path": str(hook)}] for k in ("createRuntime", "prestart", "poststart", "poststop")}
        r = self.run_config(config)
        self.assertEqual(r.returncode, 0, r.stderr)
        text = out.read_text()
        self.assertNotIn("LD_PRELOAD", text)
        self.assertNotIn("MARK", text)


if __name__ == "__main__":
    unittest.main()
