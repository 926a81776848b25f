#include "symbolizer/gsym_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/auto.h"
#include "base/reader.h"
#include "symbolizer/gsym_format.h"

enum { CHUNK_BYTES = 64 << 10 };

/* Collects bytes into writes of CHUNK_BYTES. The error is sticky. */
struct sink {
	int fd;
	int error;
	uint64_t off; /* in the file */
	uint32_t crc;
	size_t held_bytes;
	uint8_t held[CHUNK_BYTES];
};

static void flush(struct sink *sink)
{
	size_t done_bytes = 0;
	while (!sink->error && done_bytes < sink->held_bytes) {
		ssize_t written =
			write(sink->fd, sink->held + done_bytes, sink->held_bytes - done_bytes);
		if (written >= 0)
			done_bytes += (size_t)written;
		else if (errno != EINTR)
			sink->error = -errno;
	}
	sink->crc = (uint32_t)crc32_z(sink->crc, sink->held, sink->held_bytes);
	sink->held_bytes = 0;
}

static void put(struct sink *sink, const void *data, size_t len_bytes)
{
	const uint8_t *bytes = data;
	sink->off += len_bytes;
	while (len_bytes > 0) {
		if (sink->held_bytes == CHUNK_BYTES)
			flush(sink);
		size_t room = CHUNK_BYTES - sink->held_bytes;
		size_t step = len_bytes < room ? len_bytes : room;
		memcpy(sink->held + sink->held_bytes, bytes, step);
		sink->held_bytes += step;
		bytes += step;
		len_bytes -= step;
	}
}

static void put_le(struct sink *sink, uint64_t value, size_t len_bytes)
{
	uint8_t bytes[8];
	for (size_t i = 0; i < len_bytes; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	put(sink, bytes, len_bytes);
}

static void align_4(struct sink *sink)
{
	while (sink->off % 4)
		put_le(sink, 0, 1);
}

static uint64_t aligned_4(uint64_t bytes)
{
	return (bytes + 3) & ~UINT64_C(3);
}

struct plan {
	uint64_t base_vaddr;
	size_t address_bytes;
	uint64_t strings_off, functions_off;
};

static size_t bytes_for(uint64_t value)
{
	if (value <= UINT8_MAX)
		return 1;
	if (value <= UINT16_MAX)
		return 2;
	return value <= UINT32_MAX ? 4 : 8;
}

static int make_plan(const struct gsym_contents *contents, struct plan *plan, struct err *err)
{
	size_t count = contents->placed_count;
	if (count > UINT32_MAX || contents->file_count > UINT32_MAX)
		return err_set(err, -EFBIG, "%zu functions are too many for a GSYM file", count);
	plan->base_vaddr = count ? contents->placed[0].start_vaddr : 0;
	plan->address_bytes =
		count ? bytes_for(contents->placed[count - 1].start_vaddr - plan->base_vaddr) : 1;
	uint64_t offsets_off = aligned_4(GSYM_HEADER_BYTES + count * plan->address_bytes);
	plan->strings_off = offsets_off + count * 4 + 4 + contents->file_count * 8;
	plan->functions_off = aligned_4(plan->strings_off + contents->strings->len_bytes);
	uint64_t end_off = plan->functions_off;
	for (size_t i = 0; i < count; i++)
		end_off += contents->placed[i].size_bytes;
	if (end_off + GSYM_TRAILER_BYTES > UINT32_MAX)
		return err_set(err, -EFBIG, "%llu MiB are too much for a GSYM file",
			       (unsigned long long)(end_off >> 20));
	return 0;
}

static void put_header(struct sink *sink, const struct gsym_contents *contents,
		       const struct plan *plan)
{
	uint8_t uuid[GSYM_UUID_MAX_BYTES] = {0};
	if (contents->build_id_bytes)
		memcpy(uuid, contents->build_id, contents->build_id_bytes);
	put_le(sink, GSYM_MAGIC, 4);
	put_le(sink, GSYM_VERSION, 2);
	put_le(sink, plan->address_bytes, 1);
	put_le(sink, contents->build_id_bytes, 1);
	put_le(sink, plan->base_vaddr, 8);
	put_le(sink, contents->placed_count, 4);
	put_le(sink, plan->strings_off, 4);
	put_le(sink, contents->strings->len_bytes, 4);
	put(sink, uuid, sizeof(uuid));
}

static void put_tables(struct sink *sink, const struct gsym_contents *contents,
		       const struct plan *plan)
{
	for (size_t i = 0; i < contents->placed_count; i++)
		put_le(sink, contents->placed[i].start_vaddr - plan->base_vaddr,
		       plan->address_bytes);
	align_4(sink);
	uint64_t function_off = plan->functions_off;
	for (size_t i = 0; i < contents->placed_count; i++) {
		put_le(sink, function_off + contents->placed[i].words_bytes, 4);
		function_off += contents->placed[i].size_bytes;
	}
	put_le(sink, contents->file_count, 4);
	for (size_t i = 0; i < contents->file_count; i++) {
		put_le(sink, contents->files[i].directory, 4);
		put_le(sink, contents->files[i].base, 4);
	}
	put(sink, contents->strings->data, contents->strings->len_bytes);
	align_4(sink);
}

static void put_trailer(struct sink *sink, uint32_t sources)
{
	flush(sink);
	uint32_t crc = sink->crc;
	put(sink, GSYM_TRAILER_MAGIC, strlen(GSYM_TRAILER_MAGIC));
	put_le(sink, GSYM_TRAILER_VERSION, 4);
	put_le(sink, crc, 4);
	put_le(sink, sources, 4);
	put_le(sink, 0, 4);
	put_le(sink, sink->off + 8, 8);
	flush(sink);
}

int gsym_file_write(const struct gsym_contents *contents, int fd, struct err *err)
{
	struct plan plan = {0};
	int rc = make_plan(contents, &plan, err);
	if (rc)
		return rc;
	AUTO_MEM struct sink *sink = calloc(1, sizeof(*sink));
	if (!sink)
		return err_set(err, -ENOMEM, "GSYM file: %m");
	sink->fd = fd;
	put_header(sink, contents, &plan);
	put_tables(sink, contents, &plan);
	for (size_t i = 0; !sink->error && i < contents->placed_count; i++)
		put(sink, contents->functions->data + contents->placed[i].off,
		    contents->placed[i].size_bytes);
	put_trailer(sink, contents->sources);
	return sink->error ? err_set(err, sink->error, "write a GSYM file: %m") : 0;
}

bool gsym_trailer_read(struct gsym_trailer *trailer, struct reader *r, uint64_t file_bytes)
{
	const char *magic = reader_bytes(r, strlen(GSYM_TRAILER_MAGIC));
	uint32_t version = reader_u32(r);
	trailer->crc = reader_u32(r);
	trailer->sources = reader_u32(r);
	reader_skip(r, 4);
	uint64_t size_bytes = reader_u64(r);
	return !r->bad && !memcmp(magic, GSYM_TRAILER_MAGIC, strlen(GSYM_TRAILER_MAGIC)) &&
	       version == GSYM_TRAILER_VERSION && size_bytes == file_bytes;
}

/* Exactly len_bytes at off. */
static int read_at(int fd, uint64_t off, uint8_t *data, size_t len_bytes, struct err *err)
{
	size_t done_bytes = 0;
	while (done_bytes < len_bytes) {
		ssize_t got = pread(fd, data + done_bytes, len_bytes - done_bytes,
				    (off_t)(off + done_bytes));
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(err, -errno, "read a GSYM file: %m");
		if (!got)
			return err_set(err, -EBADMSG, "a GSYM file that is cut");
		done_bytes += (size_t)got;
	}
	return 0;
}

int gsym_file_check(int fd, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st))
		return err_set(err, -errno, "fstat: %m");
	if (!S_ISREG(st.st_mode) || st.st_size < GSYM_HEADER_BYTES + GSYM_TRAILER_BYTES)
		return err_set(err, -EBADMSG, "not a GSYM file");
	AUTO_MEM uint8_t *chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return err_set(err, -ENOMEM, "GSYM file: %m");
	uint64_t checked_bytes = (uint64_t)st.st_size - GSYM_TRAILER_BYTES;
	uint32_t crc = 0;
	int rc = 0;
	for (uint64_t off = 0; !rc && off < checked_bytes;) {
		uint64_t left = checked_bytes - off;
		size_t step = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
		rc = read_at(fd, off, chunk, step, err);
		if (!rc)
			crc = (uint32_t)crc32_z(crc, chunk, step);
		off += step;
	}
	if (!rc)
		rc = read_at(fd, checked_bytes, chunk, GSYM_TRAILER_BYTES, err);
	if (rc)
		return rc;
	struct reader r = reader_of(chunk, GSYM_TRAILER_BYTES);
	struct gsym_trailer trailer;
	if (!gsym_trailer_read(&trailer, &r, (uint64_t)st.st_size) || trailer.crc != crc)
		return err_set(err, -EBADMSG, "a GSYM file that is damaged");
	return 0;
}
