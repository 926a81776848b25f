#include "base/gzip.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

enum { GZIP_WINDOW_BITS = 15 + 16, CHUNK_BYTES = 64 << 10 };

bool gzip_is(const void *data, size_t len_bytes)
{
	return len_bytes >= 2 && !memcmp(data, "\x1f\x8b", 2);
}

static void deflate_fini(z_stream *z)
{
	deflateEnd(z);
}

static void inflate_fini(z_stream *z)
{
	inflateEnd(z);
}

/* Let zlib write the next bytes of out. Room may be none: then next_out is not written. */
static int give_room(z_stream *z, struct buf *out, struct err *err)
{
	size_t room_bytes = out->max_bytes - out->len_bytes;
	if (room_bytes > CHUNK_BYTES)
		room_bytes = CHUNK_BYTES;
	z->next_out = buf_extend(out, room_bytes);
	if (!z->next_out)
		return err_set(err, buf_error(out), "gzip: %m");
	z->avail_out = (uInt)room_bytes;
	return 0;
}

/* Take back what zlib did not use. */
static void end_room(const z_stream *z, struct buf *out)
{
	out->len_bytes -= z->avail_out;
}

/* 1: all is written; 0: call again. */
static int deflate_some(z_stream *z, struct buf *out, struct err *err)
{
	int rc = give_room(z, out, err);
	if (rc)
		return rc;
	int status = deflate(z, Z_FINISH);
	end_room(z, out);
	if (status == Z_STREAM_END)
		return 1;
	if (out->len_bytes == out->max_bytes)
		return err_set(err, -ENOSPC, "gzip: packs to more than %zu bytes", out->max_bytes);
	return status == Z_OK ? 0 : err_set(err, -EIO, "gzip: zlib did not finish");
}

int gzip_compress(struct buf *out, const void *data, size_t len_bytes, int level, struct err *err)
{
	if (len_bytes > UINT32_MAX)
		return err_set(err, -ENOSPC, "gzip: %zu bytes are too many at once", len_bytes);
	__attribute__((cleanup(deflate_fini))) z_stream z = {0};
	if (deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(err, -ENOMEM, "gzip: %m");
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)len_bytes;
	size_t before_bytes = out->len_bytes;
	int rc;
	do {
		rc = deflate_some(&z, out, err);
	} while (!rc);
	if (rc < 0)
		out->len_bytes = before_bytes;
	return rc > 0 ? 0 : rc;
}

/* 1: all members are read; 0: call again. */
static int inflate_some(z_stream *z, struct buf *out, struct err *err)
{
	int rc = give_room(z, out, err);
	if (rc)
		return rc;
	uInt room_bytes = z->avail_out, in_bytes = z->avail_in;
	int status = inflate(z, Z_NO_FLUSH);
	bool stuck = z->avail_out == room_bytes && z->avail_in == in_bytes;
	end_room(z, out);
	if (status == Z_STREAM_END && z->avail_in > 0)
		return inflateReset(z) == Z_OK ? 0 : err_set(err, -EIO, "gzip: zlib failed");
	if (status == Z_STREAM_END)
		return 1;
	if (status == Z_MEM_ERROR)
		return err_set(err, -ENOMEM, "gzip: %m");
	if (status != Z_OK && status != Z_BUF_ERROR)
		return err_set(err, -EBADMSG, "gzip: %s", z->msg ? z->msg : "damaged data");
	if (!stuck)
		return 0;
	if (in_bytes && !room_bytes)
		return err_set(err, -ENOSPC, "gzip: unpacks to more than %zu bytes",
			       out->max_bytes);
	return err_set(err, -ENODATA, "gzip: the data ends early");
}

int gzip_decompress(struct buf *out, const void *data, size_t len_bytes, struct err *err)
{
	if (len_bytes > UINT32_MAX)
		return err_set(err, -ENOSPC, "gzip: %zu bytes are too many at once", len_bytes);
	__attribute__((cleanup(inflate_fini))) z_stream z = {0};
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)len_bytes;
	if (inflateInit2(&z, GZIP_WINDOW_BITS) != Z_OK)
		return err_set(err, -ENOMEM, "gzip: %m");
	size_t before_bytes = out->len_bytes;
	int rc;
	do {
		rc = inflate_some(&z, out, err);
	} while (!rc);
	if (rc < 0)
		out->len_bytes = before_bytes;
	return rc > 0 ? 0 : rc;
}
