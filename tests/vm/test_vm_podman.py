"""Debian's podman as a user with a delegated cgroup, all controllers in it: limits, figures, update, pause.

With our runc, and the same with Debian's."""
import unittest

import images
from casco import SHARE
from vm import VmTest


class WithPodman(VmTest):
    boot_timeout = 290  # one test, but podman takes seconds for each call in here
    options = {"memory": 1024, "more": {"busybox.tar": SHARE / "busybox.tar", "seconds": b"240"}}

    @classmethod
    def drives(cls):
        return [images.files_of(("podman", "conmon", "newuidmap", "newgidmap", "runc"), ("/etc/containers", "/usr/share/containers"))]


class Ours(WithPodman):
    scripts = ("podman.sh",)


class Debians(WithPodman):
    scripts = ("podman_peer.sh",)


if __name__ == "__main__":
    unittest.main()
