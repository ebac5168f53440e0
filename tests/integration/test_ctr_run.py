"""Flags of ctr run that change what surrounds the container."""
import os
import unittest

from casco import DaemonTest, wait_for

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
