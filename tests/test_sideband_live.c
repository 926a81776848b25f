#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "privileges.h"
#include "profiler/sideband.h"
#include "tool.h"

struct seen {
	pid_t pid;
	int forks, execs, exits, mmaps;
	bool has_build_id;
	uint64_t last_mono_ns;
	char build_id[48];
};

static void note(struct seen *seen, const struct sideband_event *event)
{
	assert_true(event->kind == SIDEBAND_LOST || event->time_mono_ns >= seen->last_mono_ns);
	if (event->kind != SIDEBAND_LOST)
		seen->last_mono_ns = event->time_mono_ns;
	if (event->pid != (uint32_t)seen->pid)
		return;
	seen->forks += event->kind == SIDEBAND_FORK && event->parent_pid == (uint32_t)getpid();
	seen->execs +=
		event->kind == SIDEBAND_COMM && event->is_exec && !strcmp(event->name, "true");
	seen->exits += event->kind == SIDEBAND_EXIT;
	if (event->kind != SIDEBAND_MMAP || !strstr(event->name, "/true"))
		return;
	seen->mmaps++;
	assert_true(event->size_bytes && event->start_ip);
	char hex[48] = "";
	for (int i = 0; i < event->build_id_bytes; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", event->build_id[i]);
	seen->has_build_id |= event->build_id_bytes && !strcmp(hex, seen->build_id);
}

/* Until the child's exit has been told. */
static void drain(struct sideband *sideband, struct seen *seen)
{
	int64_t deadline_mono_ns = clock_mono_ns() + 120 * NS_PER_S;
	struct pollfd ready = {.fd = sideband_fd(sideband), .events = POLLIN};
	while (!seen->exits) {
		assert_true(clock_mono_ns() < deadline_mono_ns);
		poll(&ready, 1, 1000);
		struct sideband_event *events;
		size_t count = sideband_drain(sideband, &events);
		seen->last_mono_ns = 0;
		for (size_t i = 0; i < count; i++)
			note(seen, &events[i]);
	}
}

static void a_short_life_is_told(void **state)
{
	(void)state;
	struct err err = {0};
	AUTO(sideband) sideband = NULL;
	struct seen seen = {0};
	AUTO_MEM char *id = tool_output("readelf -n /bin/true 2>/dev/null | "
					"sed -n 's/.*Build ID: //p'");
	snprintf(seen.build_id, sizeof(seen.build_id), "%.*s", (int)strcspn(id, "\n"), id);
	/* Not before: the rings hold the events of the whole machine until the first drain. */
	if (sideband_open(&sideband, &err))
		fail_msg("%s", err.text);
	seen.pid = fork();
	if (!seen.pid) {
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(seen.pid, NULL, 0), seen.pid);
	drain(sideband, &seen);
	assert_int_equal(seen.forks, 1);
	assert_int_equal(seen.execs, 1);
	assert_int_equal(seen.exits, 1);
	assert_true(seen.mmaps >= 1);
	assert_true(seen.has_build_id);
}

/* A look at the CPUs in between changes nothing while none comes or goes. */
static void cpus_stay(void **state)
{
	(void)state;
	AUTO(sideband) sideband = NULL;
	struct sideband_event *events;
	assert_int_equal(sideband_open(&sideband, NULL), 0);
	for (int i = 0; i < 3; i++) {
		usleep(2000);
		assert_int_equal(sideband_follow_cpus(sideband, NULL), 0);
		size_t count = sideband_drain(sideband, &events);
		for (size_t e = 0; e < count; e++)
			assert_true(events[e].kind != SIDEBAND_LOST || events[e].lost);
	}
}

int main(void)
{
	privileges_need_perf();
	tool_need("readelf");
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_short_life_is_told),
		cmocka_unit_test(cpus_stay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
