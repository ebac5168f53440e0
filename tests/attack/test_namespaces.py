"""Namespaces that a container is told to join: by any name, the runtime's own are not to be changed.

Where the attack would succeed against a runtime, it hits namespaces that the test made around it."""
import json
import os
import pathlib
import unittest

from attack import Attack

# A runtime in namespaces of the test's own; "$@" is its command.
OWN_UTS = ["unshare", "--uts", "sh", "-c", 'hostname before; "$@"; hostname >&2', "sh"]
OWN_MOUNTS = ["unshare", "--mount", "--propagation", "private", "sh", "-c", '"$@"; echo "exit $?"; ls /etc/debian_version', "sh"]


class OwnNamespaces(Attack):
    def joins(self, config, kind, path):
        config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != kind]
        config["linux"]["namespaces"].append({"type": kind, "path": str(path)})
        return config

    def names_of(self, kind):
        """The ways to the runtime's own namespace: it inherits ours."""
        yield f"/proc/self/ns/{kind}"
        yield f"/proc/{os.getpid()}/ns/{kind}"
        yield f"/proc/{os.getpid()}/task/{os.getpid()}/ns/{kind}"
        link = self.scratch.path / f"link-{kind}"
        link.symlink_to(f"/proc/{os.getpid()}/ns/{kind}")
        yield link

    def test_sysctls_of_a_joined_network(self):
        """CVE-2022-0532: written with the value that is there, so that nothing changes if it is taken."""
        key = "net.ipv4.ip_default_ttl"
        value = pathlib.Path("/proc/sys", *key.split(".")).read_text().strip()
        for path in self.names_of("net"):
            with self.subTest(str(path)):
                config = self.joins(self.config(), "network", path)
                config["mounts"] = [m for m in config["mounts"] if m["type"] != "sysfs"]
                config["linux"]["sysctl"] = {key: value}
                r = self.run_config(config)
                self.assert_clear_error(r)
                self.assertIn("not allowed in host network namespace", r.stderr)

    def test_sysctls_of_a_joined_ipc(self):
        for key in ("kernel.shm_rmid_forced", "fs.mqueue.msg_max", "kernel.sem"):
            value = pathlib.Path("/proc/sys", *key.split(".")).read_text().strip()
            for path in self.names_of("ipc"):
                with self.subTest(key, path=str(path)):
                    config = self.joins(self.config(), "ipc", path)
                    config["mounts"] = [m for m in config["mounts"] if m["type"] != "mqueue"]
                    config["linux"]["sysctl"] = {key: value}
                    self.assert_clear_error(self.run_config(config))
                (self.scratch.path / "link-ipc").unlink(missing_ok=True)

    def test_hostname_of_a_joined_uts(self):
        config = self.joins(self.config(), "uts", "/proc/self/ns/uts")
        config["hostname"] = "attacked"
        r = self.run_config(config, wrap=OWN_UTS)
        self.assertEqual(r.stderr.splitlines()[-1], "before")
        self.assertIn("unable to set hostname", r.stderr)

    def test_own_mount_namespace(self):
        """pivot_root in there would take the root of all of the runtime's kin away."""
        r = self.run_config(self.joins(self.config(), "mount", "/proc/self/ns/mnt"), wrap=OWN_MOUNTS)
        self.assertIn("mount namespace /proc/self/ns/mnt is the runtime's own", r.stderr)
        self.assertEqual(r.stdout.splitlines()[-2:], ["exit 1", "/etc/debian_version"])

    def test_a_namespace_of_another_kind(self):
        for kind, file in (("network", "ipc"), ("mount", "net"), ("pid", "uts")):
            with self.subTest(kind):
                self.assert_clear_error(self.run_config(self.joins(self.config(), kind, f"/proc/self/ns/{file}")))

    def test_what_is_no_namespace(self):
        """A fifo must not hold us, a file of the host not be read."""
        fifo = self.scratch.path / "fifo"
        os.mkfifo(fifo)
        for path in (fifo, self.host / "file", self.host / "dir", "/dev/null", "/nowhere"):
            with self.subTest(str(path)):
                self.assert_clear_error(self.run_config(self.joins(self.config(), "network", path)))

    def test_another_network_may_be_joined(self):
        """The other side of it: a namespace of somebody else's, with a sysctl for it."""
        with self.running(self.config("/bin/sleep", "1000")) as name:
            pid = json.loads(self.runc("state", name).stdout)["pid"]
            config = self.joins(self.config("/bin/cat", "/proc/sys/net/ipv4/ip_default_ttl"), "network", f"/proc/{pid}/ns/net")
            config["linux"]["sysctl"] = {"net.ipv4.ip_default_ttl": "77"}
            r = self.run_config(config)
            self.assertEqual(r.stdout, "77\n", r.stderr)


if __name__ == "__main__":
    unittest.main()
