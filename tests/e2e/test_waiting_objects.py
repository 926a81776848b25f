"""Programs that know how long they waited, and for which lock or server: so says the store."""

import harness
import waiting

SECONDS = waiting.SECONDS
PAIRS, CLIENTS = 6, 12


class Objects(waiting.KnownCase):
    def test_lock(self):
        program = self.begin("wait_lock", SECONDS, PAIRS)
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
            locked = [one for one in fights if one.labels["reason"] == "lock"]
            objects = waiting.by_label(locked, "waits_on")
            self.assertLessEqual(set(objects), {f"futex {address}", ""}, "no other")
            # The kernel has locks of its own, for the memory of a process.
            self.assertGreaterEqual(objects[f"futex {address}"],
                                    (1 - waiting.STRAY_PART) * waiting.total_ns(locked),
                                    "who waits for a lock says for which")
            self.assertFalse([one for one in fights if one.labels.get("idle")], "never idle")
        total_ns = sum(truth.values())
        self.assert_shares(profile.samples, truth, self.bound(30e6, 0.4, total_ns), "lock")

    def test_network(self):
        program = self.begin("wait_network", SECONDS, CLIENTS)
        slow_port, fast_port = program.words()
        start_us, end_us = self.range_of(program)
        rows = [list(map(int, words)) for words in self.rows(program, CLIENTS)]
        profile = self.fetch_range(program, start_us, end_us)
        clients = [one for one in profile.samples
                   if int(one.labels["tid"]) in {row[0] for row in rows}]
        truth = {"ask_slow": sum(row[1] for row in rows), "ask_fast": sum(row[2] for row in rows)}
        total_ns = sum(truth.values())
        self.assert_shares(clients, truth, self.bound(50e6, 0.2, total_ns), "network")
        self.assert_reason(clients, "network")
        for name, port in (("ask_slow", slow_port), ("ask_fast", fast_port)):
            mine = [one for one in clients
                    if one.labels["reason"] == "network" and name in one.frames]
            self.assertTrue(mine, name)
            for one in mine:
                self.assertRegex(one.labels["waits_on"],
                                 rf"^tcp 127\.0\.0\.1:\d+ -> 127\.0\.0\.1:{port}$", name)


if __name__ == "__main__":
    harness.main()
