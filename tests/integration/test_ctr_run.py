"""Flags of ctr run that change what surrounds the container."""
import json
import os
import pathlib
import unittest

from casco import BIN, DaemonTest, block_device, our_env, run, wait_for

MAPS = ("--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536")


class Run(DaemonTest):
    def test_user_namespace(self):
        for snapshotter in ("overlayfs", "native"):  # one maps ids, the other gets a copy with other owners
            with self.subTest(snapshotter):
                self.running(*MAPS, "--snapshotter", snapshotter, name=snapshotter)
                root = f"/proc/{self.task_line(snapshotter).split()[1]}/root"
                for path in (root, root + "/bin/busybox"):
                    st = os.stat(path)
                    self.assertEqual((st.st_uid, st.st_gid), (100000, 200000), path)
                r = self.ctr("tasks", "exec", "--exec-id", "e", snapshotter, "sh", "-c", "id -u; touch /f; stat -c %u /f; cat /proc/self/uid_map")
                self.assertEqual(r.stdout.split(), ["0", "0", "0", "100000", "65536"])

    def test_what_goes_with_its_process_spares_the_disk(self):
        show = ("sh", "-c", "grep ' / ' /proc/mounts; echo more >/file; cat /file")
        lines = self.ctr("run", "--rm", self.IMAGE, "short", *show).stdout.splitlines()
        self.assertIn("volatile", lines[0])  # or fsync=volatile, as newer kernels say
        self.assertEqual(lines[1], "more")
        self.running(name="stays")
        line = self.ctr("tasks", "exec", "--exec-id", "e", "stays", *show).stdout.splitlines()[0]
        self.assertNotIn("volatile", line)
        self.assertIn("upperdir=", line)
        for what in ("containers", "snapshots"):
            self.assertNotIn("short", self.ctr(what, "ls").stdout)

    def test_gpus(self):
        """The vendor's program, which is none of this machine's, is asked as its hook would be."""
        folder = self.scratch.path / "vendor"
        folder.mkdir()
        tool = folder / "nvidia-container-cli"
        tool.write_text(f'#!/bin/sh\necho "$@" >{folder}/asked\n')
        r = self.ctr("run", "--rm", "--gpus", "0", self.IMAGE, "cards", "true", check=False)
        self.assertIn('exec: "nvidia-container-cli": executable file not found in $PATH', r.stderr)
        tool.chmod(0o755)
        env = our_env()
        env["PATH"] = f"{BIN}:{folder}:{env['PATH']}"
        run(self.daemon.command("run", "-d", "--gpus", "0", "--gpus", "2,3", self.IMAGE, "cards", "sleep", "100"), env=env)
        pid = self.task_line("cards").split()[1]
        asked = (folder / "asked").read_text().split()
        self.assertEqual(asked[:-2], ["--load-kmods", "configure", "--device=0,2,3", "--compute", "--compat32", "--graphics", "--utility", "--video", "--display"])
        self.assertEqual(asked[-2], f"--pid={pid}")
        self.assertTrue(pathlib.Path(asked[-1]).samefile(self.daemon.state / "io.containerd.runtime.v2.task/default/cards/rootfs"))

    def cdi_file(self, name):
        """In the folder that everybody's are in."""
        folder = pathlib.Path("/var/run/cdi")
        if not folder.exists():
            folder.mkdir(parents=True)
            self.addCleanup(folder.rmdir)
        self.addCleanup((folder / name).unlink, missing_ok=True)
        return folder / name

    def test_devices_by_name(self):
        file = self.cdi_file("casco-ctr.json")
        file.write_text(json.dumps({"cdiVersion": "0.6.0", "kind": "casco.test/disk", "devices": [
            {"name": "full", "containerEdits": {"env": ["DISK=full"], "deviceNodes": [{"path": "/dev/disk0", "hostPath": "/dev/loop-control", "permissions": "r"}]}}]}))
        r = self.ctr("run", "--rm", "--device", "casco.test/disk=full", "--device", "/dev/fuse", self.IMAGE, "disk", "sh", "-c", "echo $DISK; stat -c %t:%T /dev/disk0 /dev/fuse; echo x >/dev/disk0", check=False)
        self.assertEqual(r.stdout.split(), ["full", "a:ed", "a:e5"])
        self.assertIn("Operation not permitted", r.stderr)
        self.assertIn("unresolvable CDI devices casco.test/disk=none", self.ctr("run", "--rm", "--device", "casco.test/disk=none", self.IMAGE, "disk", "true", check=False).stderr)

    def test_devices_by_name_in_yaml(self):
        file = self.cdi_file("casco-ctr.yaml")
        file.write_text("cdiVersion: 0.6.0\nkind: casco.test/tape\ndevices:\n  - name: 0\n    containerEdits: {env: [TAPE=zero]}\n")
        self.assertEqual(self.ctr("run", "--rm", "--device", "casco.test/tape=0", self.IMAGE, "tape", "sh", "-c", "echo $TAPE").stdout, "zero\n")

    def test_blockio_class(self):
        device, number = block_device()
        if not device:
            self.skipTest("this machine has no block device")
        file = self.scratch.path / "blockio.yaml"
        file.write_text(f"Classes:\n  slow:\n    - Weight: 77\n    - Devices: ['{device}']\n      ThrottleReadBps: 3M\n      ThrottleWriteIOPS: 1k\n")
        self.running("--blockio-config-file", file, "--blockio-class", "slow")
        io = json.loads(self.ctr("containers", "info", "--spec", "box").stdout)["linux"]["resources"]["blockIO"]
        major, minor = map(int, number.split(":"))
        self.assertEqual(io, {"weight": 77, "throttleReadBpsDevice": [{"major": major, "minor": minor, "rate": 3000000}],
                              "throttleWriteIOPSDevice": [{"major": major, "minor": minor, "rate": 1000}]})
        limits = pathlib.Path("/sys/fs/cgroup/blkio/default/box/blkio.throttle.read_bps_device")
        if limits.exists():
            self.assertEqual(limits.read_text().split(), [number, "3000000"])
        for options, why in ((("--blockio-class", "slow"), 'blockio-class error: no OCI BlockIO parameters for class "slow"'),
                             (("--blockio-config-file", "/no/such"), 'blockio-config-file error: failed to read config file "/no/such"'),
                             (("--blockio-config-file", file, "--blockio-class", "fast"), 'no OCI BlockIO parameters for class "fast"')):
            self.assertIn(why, self.ctr("run", "--rm", *options, self.IMAGE, "no", "true", check=False).stderr.replace("\\", ""))

    def test_apparmor_profiles(self):
        r = self.ctr("run", "--rm", "--apparmor-profile", "a", "--apparmor-default-profile", "b", self.IMAGE, "no", "true", check=False)
        self.assertIn("apparmor-profile conflicts with apparmor-default-profile", r.stderr)
        if not os.path.exists("/sys/kernel/security/apparmor/profiles"):
            r = self.ctr("run", "--rm", "--apparmor-default-profile", "b", self.IMAGE, "no", "true", check=False)
            self.assertIn("open /sys/kernel/security/apparmor/profiles: no such file or directory", r.stderr)

    def test_log_uri_of_a_fifo(self):
        path = self.scratch.path / "out"
        os.mkfifo(path)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, fd)
        self.ctr("run", "-d", "--log-uri", f"fifo://{path}", self.IMAGE, "piped", "sh", "-c", "echo out; echo err >&2")
        wait_for("the end", lambda: "STOPPED" in self.task_line("piped"))
        self.assertEqual(sorted(os.read(fd, 100).split()), [b"err", b"out"])


if __name__ == "__main__":
    unittest.main()
