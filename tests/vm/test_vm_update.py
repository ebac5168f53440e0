"""update, events and statistics where the cgroups are pure v2 with every controller."""
import unittest

from vm import VmTest


class Update(VmTest):
    scripts = ("cgroup2_update.sh",)


if __name__ == "__main__":
    unittest.main()
