#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/array.h"
#include "profiler/sideband.h"
#include "sideband_maker.h"

static int parse(struct sideband_event *event, const struct buf *record)
{
	return sideband_parse(event, reader_of(record->data, record->len_bytes));
}

static void make_mmap_inode(struct buf *out)
{
	maker_mmap_inode(out, "/usr/bin/a b");
}

static void make_mmap_build_id(struct buf *out)
{
	maker_mmap_build_id(out, 20, "/usr/bin/a b");
}

static void make_comm(struct buf *out)
{
	maker_comm(out, PERF_RECORD_MISC_COMM_EXEC, "bash");
}

static void make_fork(struct buf *out)
{
	maker_task(out, PERF_RECORD_FORK);
}

static void make_exit(struct buf *out)
{
	maker_task(out, PERF_RECORD_EXIT);
}

static void make_lost(struct buf *out)
{
	maker_lost(out, 9);
}

static const struct maker {
	const char *name;
	void (*make)(struct buf *out);
} makers[] = {
	{"mmap by inode", make_mmap_inode},
	{"mmap by build ID", make_mmap_build_id},
	{"comm", make_comm},
	{"fork", make_fork},
	{"exit", make_exit},
	{"lost", make_lost},
};

/* In memory of its own size, so that a byte too far is seen. */
static int parse_cut(struct sideband_event *event, const struct buf *record, size_t len_bytes,
		     uint16_t size_bytes)
{
	AUTO_MEM char *copy = malloc(len_bytes + 1);
	memcpy(copy, record->data, len_bytes);
	if (len_bytes >= 8)
		memcpy(copy + 6, &size_bytes, sizeof(size_bytes));
	return sideband_parse(event, reader_of(copy, len_bytes));
}

static void records_that_end_early(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		AUTO_FINI(buf_fini) struct buf record;
		makers[i].make(&record);
		for (size_t len = 0; len < record.len_bytes; len++) {
			struct sideband_event event, before;
			memset(&event, 0xa5, sizeof(event));
			before = event;
			/* The header promises more than there is. */
			if (parse_cut(&event, &record, len, (uint16_t)record.len_bytes) != -EBADMSG)
				fail_msg("%s cut to %zu bytes was taken", makers[i].name, len);
			assert_memory_equal(&event, &before, sizeof(event));
		}
	}
}

/* The header says so, too: then the fields before the end are missing. Names may end early, as
 * long as they end: up to 7 bytes of padding can go. */
static void short_records(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		AUTO_FINI(buf_fini) struct buf record;
		makers[i].make(&record);
		for (size_t len = 0; len + 8 < record.len_bytes; len++) {
			struct sideband_event event = {0};
			int rc = parse_cut(&event, &record, len, (uint16_t)len);
			bool is_task = makers[i].make == make_fork || makers[i].make == make_exit;
			if (!rc && is_task && len >= record.len_bytes - 8)
				continue; /* their own time stamp, which nobody needs */
			if (rc != -EBADMSG && !event.name && !is_task)
				fail_msg("%s of %zu bytes was taken", makers[i].name, len);
			free(event.name);
		}
	}
}

static void malformed_records(void **state)
{
	(void)state;
	AUTO_FINI(buf_fini) struct buf long_id, no_end, unknown;
	struct sideband_event event = {.pid = 5};
	maker_mmap_build_id(&long_id, 21, "/a");
	assert_int_equal(parse(&event, &long_id), -EBADMSG);
	maker_begin(&no_end, PERF_RECORD_COMM, 0);
	buf_append(&no_end, "pid:tid:nameless", 16);
	maker_end(&no_end, 1);
	assert_int_equal(parse(&event, &no_end), -EBADMSG);
	maker_begin(&unknown, PERF_RECORD_THROTTLE, 0);
	maker_end(&unknown, 1);
	assert_int_equal(parse(&event, &unknown), -EOPNOTSUPP);
	assert_int_equal(event.pid, 5);
}

static void mmap_by_inode(void **state)
{
	(void)state;
	AUTO_FINI(buf_fini) struct buf record;
	maker_mmap_inode(&record, "/usr/bin/a b (deleted)");
	struct sideband_event event;
	assert_int_equal(parse(&event, &record), 0);
	assert_int_equal(event.kind, SIDEBAND_MMAP);
	assert_int_equal(event.time_mono_ns, 123456789);
	assert_int_equal(event.pid, 100);
	assert_int_equal(event.tid, 101);
	assert_int_equal(event.start_ip, 0x7f0000001000);
	assert_int_equal(event.size_bytes, 0x2000);
	assert_int_equal(event.file_off, 0x3000);
	assert_int_equal(event.dev_major, 8);
	assert_int_equal(event.dev_minor, 1);
	assert_int_equal(event.inode, 4242);
	assert_int_equal(event.inode_generation, 7);
	assert_int_equal(event.build_id_bytes, 0);
	assert_string_equal(event.name, "/usr/bin/a b");
	free(event.name);
}

static void mmap_by_build_id(void **state)
{
	(void)state;
	static const uint8_t id[20] = {1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
				       11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
	static const uint8_t lengths[] = {0, 1, 8, 16, 20};
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		AUTO_FINI(buf_fini) struct buf record;
		maker_mmap_build_id(&record, lengths[i], "/a");
		struct sideband_event event;
		assert_int_equal(parse(&event, &record), 0);
		assert_int_equal(event.build_id_bytes, lengths[i]);
		assert_memory_equal(event.build_id, id, sizeof(id));
		assert_int_equal(event.inode, 0);
		assert_int_equal(event.file_off, 0x3000);
		assert_string_equal(event.name, "/a");
		free(event.name);
	}
}

static void long_paths_have_an_end(void **state)
{
	(void)state;
	char path[6000];
	memset(path, 'x', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	AUTO_FINI(buf_fini) struct buf record;
	maker_mmap_inode(&record, path);
	struct sideband_event event;
	assert_int_equal(parse(&event, &record), 0);
	assert_int_equal(strlen(event.name), 4096);
	free(event.name);
}

static void comm(void **state)
{
	(void)state;
	static const struct {
		uint16_t misc;
		bool is_exec;
	} rows[] = {{0, false}, {PERF_RECORD_MISC_COMM_EXEC, true}, {PERF_RECORD_MISC_USER, false}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FINI(buf_fini) struct buf record;
		maker_comm(&record, rows[i].misc, "a (deleted)");
		struct sideband_event event;
		assert_int_equal(parse(&event, &record), 0);
		assert_int_equal(event.kind, SIDEBAND_COMM);
		assert_int_equal(event.pid, 100);
		assert_int_equal(event.tid, 101);
		assert_int_equal(event.is_exec, rows[i].is_exec);
		assert_string_equal(event.name, "a (deleted)"); /* it may be called so */
		free(event.name);
	}
}

static void fork_exit_lost(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		AUTO_FINI(buf_fini) struct buf record;
		maker_task(&record, i ? PERF_RECORD_EXIT : PERF_RECORD_FORK);
		struct sideband_event event;
		assert_int_equal(parse(&event, &record), 0);
		assert_int_equal(event.kind, i ? SIDEBAND_EXIT : SIDEBAND_FORK);
		assert_int_equal(event.pid, 100);
		assert_int_equal(event.parent_pid, 200);
		assert_int_equal(event.tid, 101);
		assert_int_equal(event.parent_tid, 201);
		assert_null(event.name);
	}
	AUTO_FINI(buf_fini) struct buf record;
	maker_lost(&record, UINT64_MAX);
	struct sideband_event event;
	assert_int_equal(parse(&event, &record), 0);
	assert_int_equal(event.kind, SIDEBAND_LOST);
	assert_true(event.lost == UINT64_MAX);
	assert_int_equal(event.time_mono_ns, 123456789);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_that_end_early),
		cmocka_unit_test(short_records),
		cmocka_unit_test(malformed_records),
		cmocka_unit_test(mmap_by_inode),
		cmocka_unit_test(mmap_by_build_id),
		cmocka_unit_test(long_paths_have_an_end),
		cmocka_unit_test(comm),
		cmocka_unit_test(fork_exit_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
