"""kill -9 at any moment: the store opens again, is whole, lacks at most the last second, and
says so."""

import glob
import os
import random
import shutil
import sqlite3
import time

import harness

KILLS = int(os.environ.get("HEARTH_KILLS", "20"))
LOSS_US = 1_000_000


def partitions(directory):
    """The SQLite files of a data directory, by their first bytes (sqlite.org/fileformat.html)."""
    found = []
    for path in glob.glob(os.path.join(directory, "**"), recursive=True):
        if os.path.isfile(path):
            with open(path, "rb") as file:
                if file.read(16) == b"SQLite format 3\0":
                    found.append(path)
    return found


class Kill(harness.Case):
    def check_integrity(self, number):
        """Of a copy as the killed process left it, so that nothing is healed by looking."""
        copy = self.path(f"copy{number}")
        shutil.copytree(self.data, copy)
        paths = partitions(copy)
        self.assertTrue(paths, "there is a partition")
        for path in paths:
            base = sqlite3.connect(path)
            try:
                self.assertEqual(base.execute("PRAGMA integrity_check").fetchall(), [("ok",)],
                                 path)
                self.assertEqual(base.execute("PRAGMA foreign_key_check").fetchall(), [], path)
            finally:
                base.close()
        shutil.rmtree(copy)

    def test_killed_again_and_again(self):
        harness.need_tool("gcc")
        self.workload("stacks", harness.CPUS)
        seed = int(os.environ.get("HEARTH_SEED", random.randrange(1 << 32)))
        print(f"HEARTH_SEED={seed}")
        chance = random.Random(seed)
        kept = 0
        killed_us = 0
        late_us = 0
        for number in range(KILLS):
            server = harness.Server(self.data)
            try:
                self.check_after_kill(server, killed_us, kept, late_us)
                late_us = -harness.held_up_us(server.pid)
                begun_us = harness.now_us()
                harness.wait_until(
                    lambda: server.status()["store"]["newest_us"] > begun_us + 1_000_000,
                    "new samples are stored")
                time.sleep(chance.uniform(0, 1))
                kept = server.status()["store"]["samples"]
                killed_us = harness.now_us()
                late_us += harness.held_up_us(server.pid)
            finally:
                server.kill()
                server.log.close()
            self.check_integrity(number)
        with harness.Server(self.data) as server:
            self.check_after_kill(server, killed_us, kept, late_us)
            self.assertEqual(server.stop(), 0)
        with harness.Server(self.data) as server:
            self.assertFalse(self.unclean(server), "a clean stop leaves no notice")

    def unclean(self, server):
        return [notice for notice in server.status()["notices"] if "clean" in notice]

    def lost_before(self, server, killed_us):
        """How long before that moment the newest sample was taken, to a millisecond."""
        empty_us, full_us = 0, 60_000_000
        while full_us - empty_us > 1000:
            middle_us = (empty_us + full_us) // 2
            if server.api("top", from_us=killed_us - middle_us, until_us=killed_us)["samples"]:
                full_us = middle_us
            else:
                empty_us = middle_us
        return full_us

    def check_after_kill(self, server, killed_us, kept, late_us):
        """late_us: what kept the server from its work while those samples were taken."""
        if not killed_us:
            return
        self.assertGreaterEqual(server.status()["store"]["samples"], kept,
                                "what was stored is still there")
        lost_us = self.lost_before(server, killed_us)
        print(f"lost {lost_us / 1e6:.3f} s, held up for {late_us / 1e6:.3f} s")
        self.assertLessEqual(lost_us, LOSS_US + late_us, "at most the last second is missing")
        self.assertTrue(self.unclean(server), "the next start says that the last run was cut off")

    def test_cut_off_log_file(self):
        """A partition whose bytes are garbage is set aside, and the rest goes on."""
        server = self.serve()
        server.wait_stored(harness.now_us())
        self.assertEqual(server.stop(), 0)
        for path in partitions(self.data):
            with open(path, "r+b") as file:
                file.write(b"garbage " * 512)
        server = self.serve()
        server.wait_stored(harness.now_us())
        self.assertTrue(any("aside" in notice for notice in server.status()["notices"]),
                        server.status()["notices"])


if __name__ == "__main__":
    harness.main()
