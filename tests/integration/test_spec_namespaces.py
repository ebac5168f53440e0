"""linux.namespaces: time with offsets, all of them joined by path, none of the mount kind; the loopback interface."""
import json
import os
import pathlib
import subprocess
import unittest

from bundle import RuncTest
from casco import mounts

OFFSETS = {"monotonic": {"secs": 7881, "nanosecs": 2718281}, "boottime": {"secs": 1337, "nanosecs": 3141519}}
USER = [{"containerID": 0, "hostID": 100000, "size": 65536}]


class Namespaces(RuncTest):
    def namespace(self, kind, path=None):
        spaces = self.b.config["linux"]["namespaces"]
        spaces[:] = [n for n in spaces if n["type"] != kind]
        spaces.append({"type": kind, **({"path": str(path)} if path else {})})

    def user_namespace(self):
        self.namespace("user")
        self.b.config["linux"].update(uidMappings=USER, gidMappings=USER)
        os.chmod(self.top, 0o711)

    def check_offsets(self, text):
        self.assertEqual(text.split(), ["monotonic", "7881", "2718281", "boottime", "1337", "3141519"])

    def test_time(self):
        self.namespace("time")
        self.assertEqual(self.sh("cat /proc/self/timens_offsets").split(), ["monotonic", "0", "0", "boottime", "0", "0"])
        self.assertNotEqual(self.sh("readlink /proc/self/ns/time").strip(), os.readlink("/proc/self/ns/time"))
        self.b.config["linux"]["timeOffsets"] = OFFSETS
        self.check_offsets(self.sh("cat /proc/self/timens_offsets"))

    def test_time_is_what_the_clock_says(self):
        self.namespace("time")
        self.b.config["linux"]["timeOffsets"] = {"boottime": {"secs": 1000000}}
        uptime = float(self.sh("cat /proc/uptime").split()[0])
        self.assertGreater(uptime, 1000000)
        self.assertLess(uptime, 1000000 + float(pathlib.Path("/proc/uptime").read_text().split()[0]) + 10)

    def test_time_with_a_user_namespace(self):
        self.namespace("time")
        self.user_namespace()
        self.b.config["linux"]["timeOffsets"] = OFFSETS
        self.check_offsets(self.sh("cat /proc/self/timens_offsets"))

    def test_time_in_exec_and_joined(self):
        self.namespace("time")
        self.b.config["linux"]["timeOffsets"] = OFFSETS
        self.background("sleep", "60")
        self.check_offsets(self.runc("exec", self.id, "cat", "/proc/self/timens_offsets").stdout)
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        del self.b.config["linux"]["timeOffsets"]
        self.namespace("time", f"/proc/{pid}/ns/time")
        self.b.config["process"]["args"] = ["cat", "/proc/self/timens_offsets"]
        self.b.write()
        self.check_offsets(self.runc("run", self.id + "b").stdout)

    def test_time_refusals(self):
        self.b.config["linux"]["timeOffsets"] = OFFSETS
        self.fails("time namespace offsets specified, but time namespace isn't enabled in the config")
        self.namespace("time")
        self.b.config["linux"]["timeOffsets"] = {"realtime": {"secs": 1}}
        self.fails("clock realtime is not monotonic or boottime")
        self.b.config["linux"]["timeOffsets"] = {"monotonic": {"secs": -(1 << 40)}}
        self.fails("timens_offsets: numerical result out of range")

    def test_all_joined_by_path(self):
        """Those of another container, and a mount namespace in which the rootfs can be found."""
        self.namespace("time")
        self.namespace("cgroup")
        self.background("sleep", "60")
        pid = json.loads(self.runc("state", self.id).stdout)["pid"]
        holder = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo; exec sleep 60"],
                                  stdout=subprocess.PIPE)
        self.addCleanup(holder.communicate)
        self.addCleanup(holder.kill)
        holder.stdout.readline()
        names = {"network": "net", "mount": "mnt"}
        for n in self.b.config["linux"]["namespaces"]:
            owner = holder.pid if n["type"] == "mount" else pid
            n["path"] = f"/proc/{owner}/ns/{names.get(n['type'], n['type'])}"
        del self.b.config["hostname"]
        self.b.config["process"]["args"] = ["sh", "-c", "for n in pid net ipc uts time cgroup mnt; do "
                                            "readlink /proc/self/ns/$n; done"]
        self.b.write()
        r = self.runc("run", self.id + "b")
        self.assertEqual(r.returncode, 0, r.stderr)
        for kind, got in zip("pid net ipc uts time cgroup".split(), r.stdout.split()):
            self.assertEqual(got, os.readlink(f"/proc/{pid}/ns/{kind}"), kind)
        self.assertEqual(r.stdout.split()[-1], os.readlink(f"/proc/{holder.pid}/ns/mnt"))

    def test_loopback_is_up(self):
        self.assertEqual(self.sh("cat /sys/class/net/lo/operstate /sys/class/net/lo/flags").split(), ["unknown", "0x9"])
        self.user_namespace()
        self.assertEqual(self.sh("cat /sys/class/net/lo/flags").split(), ["0x9"])


class HostMounts(RuncTest):
    """No mount namespace: what is mounted stays on the host until its owner unmounts it, as with runc."""

    def setUp(self):
        super().setUp()
        self.addCleanup(self.unmount)
        linux = self.b.config["linux"]
        linux["namespaces"] = [n for n in linux["namespaces"] if n["type"] != "mount"]
        linux.update(maskedPaths=[], readonlyPaths=[])
        self.b.config["root"]["readonly"] = False

    def unmount(self):
        while mounts(str(self.b.root)):
            subprocess.run(["umount", "-R", "-l", self.b.root], check=True)

    def test_run_and_exec(self):
        self.b.config["hooks"] = {"createRuntime": [{"path": "/bin/sh", "args": ["sh", "-c", "touch hook"]}]}
        self.assertEqual(self.sh("ls /; readlink /proc/self/ns/mnt").split()[-1], os.readlink("/proc/self/ns/mnt"))
        self.assertTrue((self.b.path / "hook").exists())
        self.unmount()
        (self.b.root / "etc/own").write_text("container")
        self.background("sleep", "60")
        r = self.runc("exec", self.id, "cat", "/etc/own")
        self.assertEqual(r.stdout, "container", r.stderr)

    def test_readonly_root_is_of_the_container_alone(self):
        self.b.config["root"]["readonly"] = True
        self.assertIn("Read-only", self.sh("touch /x 2>&1 || true"))
        self.unmount()
        (self.b.root / "x").write_text("")

    def test_what_it_can_not_have(self):
        self.b.config["linux"]["maskedPaths"] = ["/proc/kcore"]
        self.fails("unable to restrict sys entries without a private MNT namespace")

    def test_a_failure_leaves_nothing(self):
        self.b.config["process"]["cwd"] = "/bin/busybox"
        self.fails("mkdir /bin/busybox: not a directory")
        self.assertEqual(mounts(str(self.b.root)), [])

    def test_the_hosts_propagation_stays(self):
        before = [l.split()[6] for l in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()]
        self.sh("true")
        self.unmount()
        self.assertEqual(before, [l.split()[6] for l in pathlib.Path("/proc/self/mountinfo").read_text().splitlines()])

if __name__ == "__main__":
    unittest.main()
