"""A short run of tests/soak: daemons, shims, runtimes and containers killed under load, and nothing is lost or left."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "soak"))
from churn import Churn  # noqa: E402
from full_disk import FullDisk  # noqa: E402
from growth import Growth  # noqa: E402
from mixed_kills import MixedKills as Kills  # noqa: E402
from read_only import ReadOnly  # noqa: E402
from stopped_shims import StoppedShims  # noqa: E402


class MixedKills(unittest.TestCase):
    def test_the_daemon_killed_under_load(self):
        soak = Kills(seed=7, workers=4)
        self.addCleanup(soak.close)
        soak.run(10)
        self.assertEqual(soak.odd, [])
        self.assertGreater(sum(w.done - w.failed for w in soak.workers), 50)


class FullDisks(unittest.TestCase):
    def test_the_disk_full_under_load(self):
        soak = FullDisk(seed=3, workers=2, kills=True)
        self.addCleanup(soak.close)
        soak.run(2)
        self.assertEqual(soak.odd, [])


class ReadOnlyDisks(unittest.TestCase):
    def rounds(self, place, n):
        soak = ReadOnly(seed=5, workers=2, place=place, kills=True)
        self.addCleanup(soak.close)
        soak.run(n)
        self.assertEqual(soak.odd, [])
        self.assertGreater(sum(w.failed for w in soak.workers), 0)

    def test_the_database_read_only_under_load(self):
        self.rounds("database", 2)

    def test_the_root_read_only_under_load(self):
        self.rounds("root", 1)


class StoppedShim(unittest.TestCase):
    def test_shims_stopped_under_load(self):
        soak = StoppedShims(seed=2, workers=2, kills=True)
        self.addCleanup(soak.close)
        soak.run(3)
        self.assertEqual(soak.odd, [])


class Churned(unittest.TestCase):
    def test_everybody_killed_under_load(self):
        soak = Churn(seed=11, workers=4)
        self.addCleanup(soak.close)
        soak.run(200)
        self.assertGreater(sum(soak.kills.values()), 15)  # the quicker the machine, the fewer find somebody
        self.assertEqual(sum(w.done for w in soak.workers), 200)


class Grown(unittest.TestCase):
    def test_much_work_on_one_container(self):
        soak = Growth(workers=3, attaches=100, megabytes=100)
        self.addCleanup(soak.close)
        soak.run(500)
        self.assertEqual(sum(w.done for w in soak.workers), 660)  # a tenth of it to begin with


if __name__ == "__main__":
    unittest.main()
