"""runc where the cgroups are pure v2 with every controller, and AppArmor is on."""
import unittest

from vm import VmTest


class Cgroup2(VmTest):
    scripts = ("cgroup2.sh", "rootless.sh")


if __name__ == "__main__":
    unittest.main()
