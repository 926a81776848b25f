/*
 * tool: other programs as sources of expected values: compilers, readelf, c++filt.
 *
 * Header only, included by tests that have included cmocka.h; what goes wrong ends the test.
 */
#pragma once
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/auto.h"
#include "base/buf.h"

#define TOOL_UNUSED __attribute__((unused))

enum { TOOL_MAX_OUTPUT_BYTES = 256 << 20 };

/* The test is skipped (77) where a program that it needs is not installed. */
TOOL_UNUSED static void tool_need(const char *program)
{
	char command[256];
	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", program);
	if (system(command)) {
		fprintf(stderr, "skipped: %s is not installed\n", program);
		exit(77);
	}
}

/* What a shell command prints; the caller's. The command must succeed. */
__attribute__((format(printf, 1, 2))) TOOL_UNUSED static char *tool_output(const char *fmt, ...)
{
	char command[4096];
	va_list args;
	va_start(args, fmt);
	int len = vsnprintf(command, sizeof(command), fmt, args);
	va_end(args);
	assert_in_range(len, 1, sizeof(command) - 1);
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	struct buf out;
	buf_init(&out, TOOL_MAX_OUTPUT_BYTES);
	char chunk[65536];
	for (size_t got = fread(chunk, 1, sizeof(chunk), pipe); got;
	     got = fread(chunk, 1, sizeof(chunk), pipe))
		buf_append(&out, chunk, got);
	int status = pclose(pipe);
	if (status)
		fail_msg("status %d: %s", status, command);
	char *text = buf_take_str(&out);
	assert_non_null(text);
	return text;
}

/* A new directory; tool_dir_remove() takes it away with all that is in it. */
TOOL_UNUSED static char *tool_dir_new(void)
{
	const char *base = getenv("TMPDIR");
	char path[1024];
	snprintf(path, sizeof(path), "%s/hearth-test-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(path));
	return strdup(path);
}

TOOL_UNUSED static int tool_remove_one(const char *path, const struct stat *st, int type,
				       struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

TOOL_UNUSED static void tool_dir_remove(char *path)
{
	nftw(path, tool_remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(path);
}

TOOL_UNUSED static void tool_write_file(const char *path, const void *data, size_t len_bytes)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, len_bytes, file), len_bytes);
	assert_int_equal(fclose(file), 0);
}
