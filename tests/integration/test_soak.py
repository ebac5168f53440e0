"""A short run of tests/soak: the daemon is killed under load, and nothing is lost or left."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "soak"))
from mixed_kills import Soak  # noqa: E402


class MixedKills(unittest.TestCase):
    def test_the_daemon_killed_under_load(self):
        soak = Soak(seed=7, workers=4)
        self.addCleanup(soak.close)
        soak.run(10)
        self.assertEqual(soak.odd, [])
        self.assertGreater(sum(w.done - w.failed for w in soak.workers), 50)


if __name__ == "__main__":
    unittest.main()
