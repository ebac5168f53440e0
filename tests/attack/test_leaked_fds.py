"""CVE-2024-21626 and its kin: the runtime's own descriptors as a way to the host.

A descriptor that is close-on-exec is still open while the kernel looks for the program: what it
leads to can be executed, and a program of the host that runs inside can be written as
/proc/self/exe.  The tool here is the test's own; it only says that it was reached."""
import os
import shutil
import subprocess
import unittest

import attack
from attack import Attack

NUMBERS = range(3, 40)


class LeakedDescriptors(Attack):
    def setUp(self):
        super().setUp()
        shutil.copy("/bin/busybox", self.host / "busybox")
        self.before = attack.tree(self.host)

    def way(self, n, up=8):
        """To the host's tool through the folder that descriptor n may be."""
        return f"/proc/self/fd/{n}/" + "../" * up + str(self.host / "busybox").lstrip("/")

    def assert_not_reached(self, r, n):
        self.assertNotIn("reached", r.stdout, f"descriptor {n} leads to the host")
        if r.returncode:
            self.assert_clear_error(r)

    def test_program_through_a_descriptor(self):
        for n in NUMBERS:
            self.assert_not_reached(self.run_config(self.config(self.way(n), "echo", "reached")), n)

    def test_program_through_a_symlink_of_the_image(self):
        """The image's own /bin/echo: the user asked for nothing odd."""
        for n in NUMBERS:
            tool = self.rootfs / "bin" / "echo"
            tool.symlink_to(self.way(n))
            self.assert_not_reached(self.run_config(self.config("echo", "reached")), n)
            tool.unlink()

    def test_interpreter_through_a_descriptor(self):
        """The kernel looks for the interpreter after the runtime's last look at the program."""
        for n in NUMBERS:
            script = self.rootfs / "bin" / "script"
            # one word: busybox takes "echo" from what follows
            script.write_text(f"#!{self.way(n)} echo\n")
            script.chmod(0o755)
            self.assert_not_reached(self.run_config(self.config("/bin/script", "reached")), n)

    def test_exec_through_a_descriptor(self):
        with self.running(self.config("/bin/sleep", "1000")) as name:
            for n in NUMBERS:
                self.assert_not_reached(self.runc("exec", name, self.way(n), "echo", "reached"), n)
                tool = self.rootfs / "bin" / "echo"
                tool.symlink_to(self.way(n))
                self.assert_not_reached(self.runc("exec", name, "echo", "reached"), n)
                tool.unlink()

    def test_start_through_a_descriptor(self):
        """create: what the process holds while it waits for start."""
        for n in NUMBERS:
            self.write(self.config(self.way(n), "echo", "reached"))
            name = f"attack-{os.getpid()}-{n}"
            out = self.scratch.path / f"out-{n}"
            try:
                with open(out, "wb") as f:
                    subprocess.run(self.command("create", "--bundle", self.bundle, name), stdin=subprocess.DEVNULL,
                                          stdout=f, stderr=f, timeout=attack.TIMEOUT, check=False)
                self.runc("start", name)
            finally:
                self.runc("delete", "--force", name)
            self.assertNotIn("reached", out.read_text(errors="replace").replace(self.way(n), ""), f"descriptor {n}")

    def test_cwd_stays_inside(self):
        """The folder itself.

        Control: without close_rest() and check_cwd() the host's folder is listed."""
        for n in NUMBERS:
            for cwd in (f"/proc/self/fd/{n}", f"/proc/thread-self/fd/{n}", f"/proc/1/fd/{n}", f"/proc/self/fd/{n}/.."):
                r = self.run_config(self.config("/bin/sh", "-c", f"pwd; ls {'../' * 8}{str(self.host).lstrip('/')}", cwd=cwd))
                self.assertNotIn("busybox", r.stdout, cwd)
                self.assertNotIn("unreachable", r.stdout, cwd)


if __name__ == "__main__":
    unittest.main()
