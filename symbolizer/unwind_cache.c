#include "symbolizer/unwind_cache.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/reader.h"
#include "symbolizer/cache_dir.h"

/* Before the encoded rows: magic, version, crc32 of the rows, their length, the build ID. */
#define MAGIC "hearthuw"
enum {
	VERSION = 3, /* of the rows' encoding and meaning: a better reader of CFI counts too */
	MAGIC_BYTES = sizeof(MAGIC) - 1,
	BUILD_ID_BYTES = 2 * ELF_BUILD_ID_MAX_BYTES,
	HEADER_BYTES = MAGIC_BYTES + 4 + 4 + 8 + BUILD_ID_BYTES,
	MAX_FILE_BYTES = 256 << 20,
};

static void append_header(struct buf *out, const char *build_id, const struct buf *rows)
{
	buf_append(out, MAGIC, MAGIC_BYTES);
	buf_append_u32le(out, VERSION);
	buf_append_u32le(out, (uint32_t)crc32_z(0, (const Bytef *)rows->data, rows->len_bytes));
	buf_append_u64le(out, rows->len_bytes);
	char id[BUILD_ID_BYTES + 1] = {0};
	snprintf(id, sizeof(id), "%s", build_id);
	buf_append(out, id, BUILD_ID_BYTES);
}

/* Is data, all of a file, what append_header() began? *r is left at the rows. */
static bool check_header(struct reader *r, const char *build_id)
{
	const char *magic = reader_bytes(r, MAGIC_BYTES);
	uint32_t version = reader_u32(r);
	uint32_t checksum = reader_u32(r);
	uint64_t rows_bytes = reader_u64(r);
	const char *id = reader_bytes(r, BUILD_ID_BYTES);
	char wanted[BUILD_ID_BYTES + 1] = {0};
	snprintf(wanted, sizeof(wanted), "%s", build_id);
	return !r->bad && !memcmp(magic, MAGIC, MAGIC_BYTES) && version == VERSION &&
	       !memcmp(id, wanted, BUILD_ID_BYTES) && rows_bytes == reader_left_bytes(r) &&
	       checksum == (uint32_t)crc32_z(0, r->pos, rows_bytes);
}

/* *data is the caller's, and may be shorter than the file was. */
static int read_file(int fd, char **data, size_t *len_bytes, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st))
		return err_set(err, -errno, "fstat: %m");
	if (!S_ISREG(st.st_mode) || st.st_size < HEADER_BYTES || st.st_size > MAX_FILE_BYTES)
		return err_set(err, -ENOENT, "not unwind rows");
	size_t wanted_bytes = (size_t)st.st_size;
	AUTO_MEM char *bytes = malloc(wanted_bytes);
	if (!bytes)
		return err_set(err, -ENOMEM, "unwind rows: %m");
	size_t got_bytes = 0;
	while (got_bytes < wanted_bytes) {
		ssize_t got =
			pread(fd, bytes + got_bytes, wanted_bytes - got_bytes, (off_t)got_bytes);
		if (got < 0 && errno != EINTR)
			return err_set(err, -errno, "read: %m");
		if (got == 0)
			break;
		got_bytes += got > 0 ? (size_t)got : 0;
	}
	*data = TAKE(bytes);
	*len_bytes = got_bytes;
	return 0;
}

int unwind_cache_load(struct unwind_rows **out, int dir_fd, const char *build_id, struct err *err)
{
	char name[CACHE_NAME_BYTES];
	int rc = cache_dir_name(name, build_id, ".unwind", err);
	if (rc)
		return rc;
	AUTO_FD fd = -1;
	bool is_old;
	rc = cache_dir_open(dir_fd, name, &fd, &is_old, err);
	if (rc)
		return rc;
	AUTO_MEM char *data = NULL;
	size_t len_bytes = 0;
	rc = read_file(fd, &data, &len_bytes, err);
	if (rc)
		return err_wrap(err, rc, "%s", name);
	struct reader r = reader_of(data, len_bytes);
	if (!check_header(&r, build_id))
		return err_set(err, -ENOENT, "%s is damaged or of another version", name);
	rc = unwind_rows_decode(out, r.pos, reader_left_bytes(&r), err);
	if (rc)
		return err_wrap(err, rc == -EBADMSG ? -ENOENT : rc, "%s", name);
	if (is_old)
		cache_dir_trust(fd);
	return 0;
}

static int write_all(int fd, const char *data, size_t len_bytes, struct err *err)
{
	while (len_bytes > 0) {
		ssize_t written = write(fd, data, len_bytes);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return err_set(err, -errno, "write: %m");
		data += written;
		len_bytes -= (size_t)written;
	}
	return 0;
}

/* No fsync: after a power cut the checksum tells, and the rows are read from the ELF file. */
static int replace_file(int dir_fd, const char *name, const struct buf *header,
			const struct buf *rows, struct err *err)
{
	struct cache_write write;
	int rc = cache_write_begin(&write, dir_fd, name, err);
	if (rc)
		return rc;
	rc = write_all(write.fd, header->data, header->len_bytes, err);
	if (!rc)
		rc = write_all(write.fd, rows->data, rows->len_bytes, err);
	if (!rc)
		rc = cache_write_commit(&write, err);
	cache_write_fini(&write);
	return rc;
}

int unwind_cache_store(int dir_fd, const char *build_id, const struct unwind_rows *rows,
		       struct err *err)
{
	char name[CACHE_NAME_BYTES];
	int rc = cache_dir_name(name, build_id, ".unwind", err);
	if (rc)
		return rc;
	AUTO_FINI(buf_fini) struct buf encoded;
	AUTO_FINI(buf_fini) struct buf header;
	buf_init(&encoded, MAX_FILE_BYTES - HEADER_BYTES);
	buf_init(&header, HEADER_BYTES);
	unwind_rows_encode(rows, &encoded);
	append_header(&header, build_id, &encoded);
	rc = buf_error(&encoded) ? buf_error(&encoded) : buf_error(&header);
	if (rc)
		return err_set(err, rc, "unwind rows: %m");
	return replace_file(dir_fd, name, &header, &encoded, err);
}
