#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "symbolizer/executable.h"

enum { THREADS = 4, STEP_BYTES = 64 };

struct walk {
	struct executable *exe; /* a reference of its own */
	pthread_barrier_t *start;
	uint64_t from_vaddr, until_vaddr;
	size_t found;
	uint64_t names_hash;
};

/* All threads begin at once, so that they meet in reading the table and in demangling. */
static void *walk_code(void *arg)
{
	struct walk *walk = arg;
	pthread_barrier_wait(walk->start);
	for (uint64_t vaddr = walk->from_vaddr; vaddr < walk->until_vaddr; vaddr += STEP_BYTES) {
		struct symbol symbol;
		if (!executable_lookup(walk->exe, vaddr, &symbol))
			continue;
		walk->found++;
		for (const char *c = symbol.name; *c; c++)
			walk->names_hash = walk->names_hash * 31 + (unsigned char)*c;
	}
	executable_unnamed_reason(walk->exe);
	executable_unref(walk->exe);
	return NULL;
}

/* The library of this process that has mangled names, or this program itself. */
static struct executable *open_something_large(void)
{
	static const char *const paths[] = {
		"/usr/lib/x86_64-linux-gnu/libstdc++.so.6",
		"/usr/lib/aarch64-linux-gnu/libstdc++.so.6",
		"/proc/self/exe",
	};
	int fd = -1;
	for (size_t i = 0; fd < 0 && i < sizeof(paths) / sizeof(paths[0]); i++)
		fd = open(paths[i], O_RDONLY | O_CLOEXEC);
	struct executable *exe = NULL;
	assert_int_equal(executable_open(&exe, fd, "shared", NULL), 0);
	return exe;
}

static void all_threads_see_the_same(void **state)
{
	(void)state;
	for (int round = 0; round < 5; round++) {
		struct executable *exe = open_something_large();
		uint64_t start, limit, off;
		executable_segment(exe, 0, &start, &limit, &off);
		pthread_barrier_t barrier;
		assert_int_equal(pthread_barrier_init(&barrier, NULL, THREADS), 0);
		struct walk walks[THREADS];
		pthread_t threads[THREADS];
		for (int i = 0; i < THREADS; i++) {
			walks[i] = (struct walk){.exe = executable_ref(exe),
						 .start = &barrier,
						 .from_vaddr = start,
						 .until_vaddr = limit};
			assert_int_equal(pthread_create(&threads[i], NULL, walk_code, &walks[i]),
					 0);
		}
		executable_unref(exe); /* the last thread to finish frees it */
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_true(walks[0].found > 0);
		for (int i = 1; i < THREADS; i++) {
			assert_int_equal(walks[i].found, walks[0].found);
			assert_int_equal(walks[i].names_hash, walks[0].names_hash);
		}
		pthread_barrier_destroy(&barrier);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(all_threads_see_the_same)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
