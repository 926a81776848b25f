#include "symbolizer/perf_map.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

enum { CHUNK_BYTES = 64 << 10, TAIL_BYTES = 64, MAX_BACKLOG_BYTES = 64 << 20 };

struct perf_map {
	struct jit_limits limits;
	struct jit_codes *codes;
	dev_t dev;
	ino_t ino;
	uint64_t off; /* read up to here */
	/* What lies before off: when that changes, the file was written anew. */
	char tail[TAIL_BYTES];
	size_t tail_bytes;
	bool is_inside_line; /* off is not where a line begins: the rest of it is passed over */
	uint64_t bad_lines, rereads;
	char chunk[CHUNK_BYTES];
};

int perf_map_new(struct perf_map **out, const struct jit_limits *limits)
{
	AUTO(perf_map) map = calloc(1, sizeof(*map));
	if (!map)
		return -ENOMEM;
	map->limits = limits ? *limits : jit_default_limits;
	int rc = jit_codes_new(&map->codes, &map->limits);
	if (rc)
		return rc;
	*out = TAKE(map);
	return 0;
}

void perf_map_free(struct perf_map *map)
{
	if (!map)
		return;
	jit_codes_free(map->codes);
	free(map);
}

static int begin_again(struct perf_map *map, const struct stat *st)
{
	AUTO(jit_codes) codes = NULL;
	int rc = jit_codes_new(&codes, &map->limits);
	if (rc)
		return rc;
	jit_codes_free(map->codes);
	map->codes = TAKE(codes);
	map->rereads += map->ino != 0;
	map->dev = st->st_dev;
	map->ino = st->st_ino;
	map->off = map->tail_bytes = map->bad_lines = 0;
	map->is_inside_line = false;
	return 0;
}

/* 16 digits at most, with or without "0x". */
static bool take_hex(const char **pos, const char *end, uint64_t *value)
{
	const char *at = *pos;
	if (end - at > 2 && at[0] == '0' && (at[1] | 0x20) == 'x')
		at += 2;
	const char *first = at;
	*value = 0;
	for (; at < end && at - first <= 16; at++) {
		int lower = *at | 0x20;
		if (*at >= '0' && *at <= '9')
			*value = *value << 4 | (uint64_t)(*at - '0');
		else if (lower >= 'a' && lower <= 'f')
			*value = *value << 4 | (uint64_t)(lower - 'a' + 10);
		else
			break;
	}
	*pos = at;
	return at > first && at - first <= 16;
}

static bool take_blanks(const char **pos, const char *end)
{
	const char *first = *pos;
	while (*pos < end && (**pos == ' ' || **pos == '\t'))
		(*pos)++;
	return *pos > first;
}

static int take_line(struct perf_map *map, const char *line, const char *end)
{
	struct jit_code_info info = {0};
	bool is_line = take_hex(&line, end, &info.start_ip) && take_blanks(&line, end) &&
		       take_hex(&line, end, &info.size_bytes) && take_blanks(&line, end);
	info.name = line;
	info.name_bytes = (size_t)(end - line);
	int rc = is_line ? jit_codes_add(map->codes, &info) : -EINVAL;
	if (rc != -EINVAL)
		return rc;
	map->bad_lines++;
	return 0;
}

/* Take the lines of a chunk that are whole. The bytes that are done with, or -errno. */
static ssize_t take_lines(struct perf_map *map, size_t len_bytes)
{
	const char *pos = map->chunk, *end = map->chunk + len_bytes;
	for (;;) {
		const char *newline = memchr(pos, '\n', (size_t)(end - pos));
		if (!newline)
			break;
		int rc = map->is_inside_line ? 0 : take_line(map, pos, newline);
		if (rc)
			return rc;
		map->is_inside_line = false;
		pos = newline + 1;
	}
	/* No line is that long. */
	if (pos == map->chunk && len_bytes == sizeof(map->chunk)) {
		map->bad_lines += !map->is_inside_line;
		map->is_inside_line = true;
	}
	return map->is_inside_line ? (ssize_t)len_bytes : pos - map->chunk;
}

static int take_chunks(struct perf_map *map, int fd, struct err *err)
{
	for (size_t left_bytes = MAX_BACKLOG_BYTES; left_bytes >= sizeof(map->chunk);) {
		ssize_t len_bytes = pread(fd, map->chunk, sizeof(map->chunk), (off_t)map->off);
		if (len_bytes < 0)
			return err_set(err, -errno, "read perf map: %m");
		ssize_t done_bytes = take_lines(map, (size_t)len_bytes);
		if (done_bytes < 0)
			return err_set(err, (int)done_bytes, "perf map: %m");
		if (!done_bytes)
			return 0;
		map->off += (uint64_t)done_bytes;
		left_bytes -= (size_t)done_bytes;
	}
	return 0;
}

static void keep_tail(struct perf_map *map, int fd)
{
	size_t want_bytes = map->off < TAIL_BYTES ? (size_t)map->off : TAIL_BYTES;
	ssize_t have_bytes = pread(fd, map->tail, want_bytes, (off_t)(map->off - want_bytes));
	map->tail_bytes = have_bytes == (ssize_t)want_bytes ? want_bytes : 0;
}

static bool is_continued(const struct perf_map *map, int fd, const struct stat *st)
{
	if (map->dev != st->st_dev || map->ino != st->st_ino || (uint64_t)st->st_size < map->off)
		return false;
	char tail[TAIL_BYTES];
	return pread(fd, tail, map->tail_bytes, (off_t)(map->off - map->tail_bytes)) ==
		       (ssize_t)map->tail_bytes &&
	       !memcmp(tail, map->tail, map->tail_bytes);
}

int perf_map_read(struct perf_map *map, int fd, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st))
		return err_set(err, -errno, "perf map: %m");
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "perf map: not a regular file");
	int rc = is_continued(map, fd, &st) ? 0 : begin_again(map, &st);
	if (rc)
		return err_set(err, rc, "perf map: %m");
	if ((uint64_t)st.st_size > map->off + MAX_BACKLOG_BYTES) {
		map->off = (uint64_t)st.st_size - MAX_BACKLOG_BYTES;
		map->is_inside_line = true;
	}
	rc = take_chunks(map, fd, err);
	keep_tail(map, fd);
	int settled = jit_codes_settle(map->codes);
	return rc || !settled ? rc : err_set(err, settled, "perf map: %m");
}

bool perf_map_find(const struct perf_map *map, uint64_t ip, struct jit_symbol *symbol)
{
	return jit_codes_find(map->codes, ip, UINT64_MAX, symbol);
}

void perf_map_stats(const struct perf_map *map, struct perf_map_stats *stats)
{
	*stats = (struct perf_map_stats){
		.ranges = jit_codes_count(map->codes),
		.bad_lines = map->bad_lines,
		.refused = jit_codes_refused(map->codes),
		.rereads = map->rereads,
		.bytes = sizeof(*map) + jit_codes_bytes(map->codes),
	};
}
