"""What users of the host may find while root handles images: a program of root's in one is theirs to run where it is shown."""
import pathlib
import re
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
from casco import CONFIG, SHARE, Daemon, DaemonTest, Scratch  # noqa: E402


class Shown(DaemonTest):
    @classmethod
    def setUpClass(cls):
        cls.scratch = Scratch()
        cls.addClassCleanup(cls.scratch.remove)
        scratch = cls.scratch.path / "scratch"
        with open(scratch, "wb") as f:
            f.truncate(64 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", scratch], check=True)
        cls.daemon = Daemon(cls.scratch.path, config=CONFIG + f"""
[plugins.'io.containerd.snapshotter.v1.blockfile']
  scratch_file = '{scratch}'
  mount_options = ['loop']
""").start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.ctr("images", "import", "--no-unpack", SHARE / "busybox.tar")

    def options_of_lookups(self, snapshotter):
        """The mounts below /tmp while a name is looked up in an image."""
        found, stop = set(), threading.Event()

        def watch():
            while not stop.is_set():
                with open("/proc/self/mountinfo") as f:
                    found.update(re.findall(r" /tmp/containerd-mount\S+ (\S+) ", f.read()))

        t = threading.Thread(target=watch)
        t.start()
        try:
            for i in range(40):
                self.ctr("containers", "create", "--snapshotter", snapshotter, "--user", "root", self.IMAGE, f"c{i}", "true")
                if found:
                    break
        finally:
            stop.set()
            t.join()
        return found

    def test_no_program_of_an_image_is_roots_on_the_host(self):
        found = self.options_of_lookups("blockfile")
        self.assertTrue(found, "no mount was seen")
        for options in found:
            self.assertLessEqual({"nosuid", "nodev", "noexec"}, set(options.split(",")))


if __name__ == "__main__":
    unittest.main()
