"""Programs that know how long they waited, and for which lock or server: so says the store."""

import harness
import waiting

SECONDS = waiting.SECONDS
PAIRS, CLIENTS = 6, 12


class Objects(waiting.KnownCase):
    def test_lock(self):
        program = self.workload("wait_lock", SECONDS, PAIRS)
        start_us, end_us = self.range_of(program)
        rows = self.rows(program, 2 * PAIRS)
        profile = self.fetch_range(program, start_us, end_us)
        truth = {"fight_for_lock": 0, "hold_long": 0, "hold_short": 0, "stay_away": 0}
        for number, (tid, address, *spent) in enumerate(rows):
            fighting, holding, away = map(int, spent)
            truth["fight_for_lock"] += fighting
            truth["hold_short" if number % 2 else "hold_long"] += holding
            truth["stay_away"] += away
            mine = profile.of(tid=tid)
            self.assert_percent(waiting.total_ns(mine), fighting + holding + away,
                                waiting.WITHIN_PERCENT, f"waited by {tid}")
            fights = [one for one in mine if "fight_for_lock" in one.frames]
            self.assert_reason(fights, "lock")
            objects = {one.labels.get("waits_on") for one in fights
                       if one.labels["reason"] == "lock"}
            self.assertEqual(objects, {f"futex {address}"}, "who waits for a lock says for which")
            self.assertFalse([one for one in fights if one.labels.get("idle")], "never idle")
        total_ns = sum(truth.values())
        self.assert_shares(profile.samples, truth, self.bound(30e6, 0.4, total_ns), "lock")

    def test_network(self):
        program = self.workload("wait_network", SECONDS, CLIENTS)
        slow_port, fast_port = program.words()
        start_us, end_us = self.range_of(program)
        rows = [list(map(int, words)) for words in self.rows(program, CLIENTS)]
        profile = self.fetch_range(program, start_us, end_us)
        clients = [one for one in profile.samples
                   if int(one.labels["tid"]) in {row[0] for row in rows}]
        truth = {"ask_slow": sum(row[1] for row in rows), "ask_fast": sum(row[2] for row in rows)}
        total_ns = sum(truth.values())
        bound = self.bound(50e6, 0.2, total_ns)
        self.assert_shares(clients, truth, bound, "network")
        self.assert_reason(clients, "network")
        remote = waiting.by(clients, lambda one: one.labels.get("waits_on", "").rpartition(":")[2])
        for port, name in ((slow_port, "ask_slow"), (fast_port, "ask_fast")):
            self.assert_close(100.0 * remote[port] / sum(remote.values()),
                              100.0 * truth[name] / total_ns, bound, f"share of port {port}")
        for one in clients:
            if one.labels["reason"] == "network":
                self.assertRegex(one.labels["waits_on"],
                                 r"^tcp 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:\d+$")


if __name__ == "__main__":
    harness.main()
