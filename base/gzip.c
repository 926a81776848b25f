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

int gzip_compress(struct buf *out, const void *data, size_t len_bytes, int level, struct err *err)
{
	if (len_bytes > UINT32_MAX)
		return err_set(err, -ENOSPC, "gzip: %zu bytes are too many at once", len_bytes);
	__attribute__((cleanup(deflate_fini))) z_stream z = {0};
	if (deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW_BITS, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return err_set(err, -ENOMEM, "gzip: %m");
	size_t bound_bytes = deflateBound(&z, len_bytes);
	size_t before_bytes = out->len_bytes;
	z.next_out = buf_extend(out, bound_bytes);
	if (!z.next_out)
		return err_set(err, buf_error(out), "gzip: %m");
	z.avail_out = (uInt)bound_bytes;
	z.next_in = (Bytef *)(uintptr_t)data;
	z.avail_in = (uInt)len_bytes;
	if (deflate(&z, Z_FINISH) != Z_STREAM_END)
		return err_set(err, -EIO, "gzip: zlib did not finish");
	out->len_bytes = before_bytes + z.total_out;
	return 0;
}

static int inflate_some(z_stream *z, struct buf *out, struct err *err)
{
	size_t before_bytes = out->len_bytes;
	size_t room_bytes = out->max_bytes - out->len_bytes;
	if (room_bytes > CHUNK_BYTES)
		room_bytes = CHUNK_BYTES;
	z->next_out = room_bytes ? buf_extend(out, room_bytes) : NULL;
	if (!z->next_out)
		return err_set(err, -ENOSPC, "gzip: unpacks to more than %zu bytes",
			       out->max_bytes);
	z->avail_out = (uInt)room_bytes;
	int status = inflate(z, Z_NO_FLUSH);
	out->len_bytes = before_bytes + room_bytes - z->avail_out;
	if (status == Z_STREAM_END && z->avail_in > 0)
		status = inflateReset(z); /* another member follows */
	else if (status == Z_STREAM_END)
		return 1;
	if (status == Z_BUF_ERROR || (status == Z_OK && !z->avail_in && z->avail_out))
		return err_set(err, -ENODATA, "gzip: the data ends early");
	if (status != Z_OK)
		return err_set(err, -EBADMSG, "gzip: %s", z->msg ? z->msg : "damaged data");
	return 0;
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
	int rc;
	do {
		rc = inflate_some(&z, out, err);
	} while (!rc);
	return rc > 0 ? 0 : rc;
}
