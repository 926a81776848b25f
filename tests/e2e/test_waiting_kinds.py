"""Every way to wait has its reason, what it waits on, a whole stack with the functions that led
there, and is marked as idle when workers without work wait like that."""

import harness
import waiting

IDLE_NS = 1_000_000_000
LOCK, SLEEP, POLL, PIPE, NETWORK, CHILD = "lock", "sleep", "poll", "pipe", "network", "child"
# kind of programs/wait_kinds.h: reason, idle
KINDS = {
    "mutex": (LOCK, False), "condition": (LOCK, True), "semaphore": (LOCK, True),
    "futex": (LOCK, False), "join": (LOCK, True),
    "nanosleep": (SLEEP, True), "clock_nanosleep": (SLEEP, True), "timerfd": (SLEEP, None),
    "poll": (POLL, True), "select": (POLL, True), "epoll": (POLL, True),
    "pipe_read": (PIPE, False), "pipe_write": (PIPE, False), "eventfd": (PIPE, False),
    "unix_read": (PIPE, False), "unix_recv": (PIPE, False), "terminal": (PIPE, False),
    "accept": (NETWORK, True), "tcp_read": (NETWORK, False), "tcp6_recv": (NETWORK, False),
    "tcp_send": (NETWORK, False), "udp_recv": (NETWORK, False), "connect": (NETWORK, False),
    "waitpid": (CHILD, True), "vfork": (CHILD, None),
}


class Kinds(waiting.KindsCase):
    def test_all_kinds(self):
        """They began to wait before the server did to look."""
        program = self.workload("wait_kinds")
        server = self.serve()
        profile, window = self.judge(server, program, KINDS)
        self.check_hiding(server, program, window, profile)

    def check_hiding(self, server, program, window, profile):
        """Idle threads can be left out, and only these are."""
        busy = self.fetch(server, window.start_us, window.end_us,
                          f'{{pid="{program.pid}",idle!="true"}}')
        self.assertEqual(waiting.total_ns(busy.samples),
                         waiting.total_ns(one for one in profile.samples
                                          if one.labels.get("idle") != "true"))
        flame = server.api("flame", type="offcpu",
                           query=f'{{pid="{program.pid}",thread="epoll"}}',
                           from_us=window.start_us, until_us=window.end_us)
        nodes = zip(flame["nodes"]["name"], flame["nodes"]["self_us"])
        ends = {flame["names"][name] for name, self_us in nodes if self_us}
        self.assertEqual(ends, {"[poll]"}, "stacks end in their reason")
        values = server.api("label-values", type="offcpu", label="reason",
                            query=f'{{pid="{program.pid}"}}', from_us=window.start_us,
                            until_us=window.end_us)["values"]
        self.assertEqual({one["value"] for one in values},
                         {SLEEP, LOCK, POLL, PIPE, NETWORK, CHILD})

    def test_short_parking_is_not_idle(self):
        """Only what lasts for a second is."""
        server = self.serve()
        program = self.workload("wait_cycle", 2, 4)
        self.settle(server, program)
        program.begin()
        start_us, end_us = map(int, program.words())
        rows = [program.words() for _ in range(2)]
        self.wait_seen(server, program, {program.pid}, end_us)
        profile = self.fetch(server, start_us, end_us, f'{{pid="{program.pid}"}}')
        for tid, *_, longest_ns in rows:
            if int(longest_ns) < IDLE_NS:  # or the whole machine stood still
                self.assertFalse([one for one in profile.of(tid) if one.labels.get("idle")])


if __name__ == "__main__":
    harness.main()
