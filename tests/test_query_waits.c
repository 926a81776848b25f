/*
 * `hearth query` about waiting, from a store: types, groups, and --hide-idle with any selector.
 *
 * In the second after T0 alpha waits 600 ms for a lock, and beta is parked in poll all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "tests/profile_maker.h"
#include "tests/temp_store.h"

#define T0_S INT64_C(1800000000)

enum { MAX_ARGUMENTS = 16, ANSWER_BYTES = 4096 };

static void add_wait(struct profile *profile, const char *comm, uint32_t tid,
		     enum wait_reason reason, bool is_idle, int64_t weight_ms)
{
	struct profile_wait wait = {.reason = reason, .is_idle = is_idle};
	uint32_t id = 0;
	assert_int_equal(profile_add_wait(profile, &wait, &id), 0);
	maker_sample(profile, comm, tid, "main", weight_ms * NS_PER_MS);
	struct profile_sample *sample = &profile->samples[profile->sample_count - 1];
	sample->time_unix_ns = (T0_S + 1) * NS_PER_S;
	sample->wait = id;
}

static int setup(void **state)
{
	struct temp_store *temp = calloc(1, sizeof(*temp));
	assert_non_null(temp);
	temp_store_init(temp);
	AUTO(profile) profile = NULL;
	assert_int_equal(profile_new(&profile, PROFILE_OFFCPU), 0);
	profile->start_unix_ns = T0_S * NS_PER_S;
	profile->duration_ns = NS_PER_S;
	add_wait(profile, "alpha", 11, WAIT_LOCK, false, 600);
	add_wait(profile, "beta", 22, WAIT_POLL, true, 1000);
	struct err err = {0};
	if (store_append(temp->store, (const struct profile *[]){profile}, 1, NULL, &err))
		fail_msg("%s", err.text);
	*state = temp;
	return 0;
}

static int teardown(void **state)
{
	temp_store_fini(*state);
	free(*state);
	return 0;
}

/* The exit code of `query KIND OPTIONS...`; what it says is in answer. */
static int query(const struct temp_store *temp, const char *const *arguments,
		 char answer[static ANSWER_BYTES])
{
	char output[128], data[128];
	snprintf(output, sizeof(output), "--output=%s/answer", temp->directory);
	snprintf(data, sizeof(data), "--data=%s", temp->directory);
	char from[] = "--from=1800000000", until[] = "--until=1800000001";
	char *argv[MAX_ARGUMENTS + 8] = {"query", strdup(arguments[0]), from, until, data, output};
	int argc = 6;
	for (size_t i = 1; arguments[i]; i++)
		argv[argc++] = strdup(arguments[i]);
	int code = command_query.run(argc, argv);
	free(argv[1]);
	while (argc > 6)
		free(argv[--argc]);
	answer[0] = '\0';
	FILE *file = fopen(strchr(output, '=') + 1, "re");
	if (!file)
		return code;
	answer[fread(answer, 1, ANSWER_BYTES - 1, file)] = '\0';
	fclose(file);
	remove(strchr(output, '=') + 1);
	return code;
}

struct query_row {
	const char *arguments[MAX_ARGUMENTS]; /* ends with NULL */
	int code;
	const char *says;    /* in the answer */
	const char *without; /* and this not; NULL: whatever */
};

#define VALUES "labels", "--label=reason", "--json", "--type=offcpu"
#define FOLDED "folded", "--type=offcpu"

static const struct query_row rows[] = {
	{{VALUES}, 0, "{\"value\":\"poll\",\"total_us\":1000000}", NULL},
	{{VALUES, "--hide-idle"}, 0, "{\"value\":\"lock\",\"total_us\":600000}", "poll"},
	{{VALUES, "--hide-idle", "{}"}, 0, "lock", "poll"},
	{{VALUES, "--hide-idle", ""}, 0, "lock", "poll"},
	{{VALUES, "--hide-idle", " { comm =~ \"al.*\" } "}, 0, "lock", "poll"},
	{{VALUES, "--hide-idle", "{comm=\"alpha\",}"}, 0, "lock", "poll"},
	{{VALUES, "--hide-idle", "{comm=\"beta\"}"}, 0, "\"values\":[]", "lock"},
	{{VALUES, "--hide-idle", "{idle=\"true\"}"}, 0, "\"values\":[]", "poll"},
	{{FOLDED, "--hide-idle"}, 0, "alpha;main;[lock] 600000000\n", "beta"},
	{{FOLDED}, 0, "beta;main;[poll] 1000000000\n", NULL},
	{{"flame", "--type=offcpu", "--group-by=reason"}, 0, "poll", NULL},
	{{"flame", "--type=offcpu", "--group-by=reason", "--hide-idle"}, 0, "lock", "poll"},
	{{"flame", "--type=offcpu", "--group-by=reason", "--by=nowaits"}, 0, "lock", "[lock]"},
	{{"series", "--type=offcpu", "--group-by=reason"}, 0, "poll", "CPUs"},
	{{"series", "--type=wall"}, 0, "(threads)", "CPUs"},
	{{"series", "--type=cpu"}, 0, "(CPUs in use)", "threads"},
	{{"top", "--type=wall"}, 0, "1.600 s", NULL},
	{{"flame", "--type=waiting"}, 2, "", "all"},
	{{"flame", "--type=offcpu", "--hide-idle", "{comm"}, 2, "", "all"},
	{{"flame", "--type=offcpu", "--hide-idle", "comm=\"a\""}, 2, "", "all"},
	{{"flame", "--type=offcpu", "--hide-idle=yes"}, 2, "", "all"},
	{{"flame", "--type=offcpu", "--by=waits"}, 2, "", "all"},
	{{"flame", "--type=offcpu", "--group-by="}, 2, "", "all"},
};

static void test_queries(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char answer[ANSWER_BYTES];
		int code = query(*state, rows[i].arguments, answer);
		if (code != rows[i].code || !strstr(answer, rows[i].says) ||
		    (rows[i].without && strstr(answer, rows[i].without)))
			fail_msg("row %zu: exit code %d, %s", i, code, answer);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_queries, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
