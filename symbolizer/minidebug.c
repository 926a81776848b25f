#include "symbolizer/minidebug.h"

#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdbool.h>
#include <sys/mman.h>

enum {
	MAX_DECODER_BYTES = 80 << 20,
	MAX_PACKED_BYTES = MINIDEBUG_MAX_BYTES,
	CHUNK_BYTES = 64 << 10,
};

struct unpacking {
	const struct elf_file *file;
	uint64_t off; /* of what was not read yet */
	uint64_t left_bytes;
	int fd;
	uint64_t unpacked_bytes;
	lzma_stream stream;
	uint8_t packed[CHUNK_BYTES];
	uint8_t plain[CHUNK_BYTES];
};

static void unpacking_free(struct unpacking *unpacking)
{
	if (unpacking)
		lzma_end(&unpacking->stream);
	free(unpacking);
}
AUTO_DEFINE(unpacking)

static int lzma_error(lzma_ret ret, struct err *err)
{
	switch (ret) {
	case LZMA_MEM_ERROR:
		return err_set(err, -ENOMEM, "unpack xz: %m");
	case LZMA_MEMLIMIT_ERROR:
		return err_set(err, -ENOSPC, "its xz needs more than %d MiB to unpack",
			       MAX_DECODER_BYTES >> 20);
	case LZMA_FORMAT_ERROR:
		return err_set(err, -EBADMSG, "not an xz file");
	case LZMA_OPTIONS_ERROR:
	case LZMA_UNSUPPORTED_CHECK:
		return err_set(err, -EOPNOTSUPP, "an xz file with unknown options");
	case LZMA_BUF_ERROR:
		return err_set(err, -ENODATA, "the xz file ends early");
	default:
		return err_set(err, -EBADMSG, "the xz file is damaged");
	}
}

static int refill(struct unpacking *unpacking, struct err *err)
{
	size_t len_bytes =
		unpacking->left_bytes < CHUNK_BYTES ? unpacking->left_bytes : CHUNK_BYTES;
	int rc = elf_file_read(unpacking->file, unpacking->off, unpacking->packed, len_bytes);
	if (rc)
		return err_set(err, rc, "read .gnu_debugdata: %m");
	unpacking->off += len_bytes;
	unpacking->left_bytes -= len_bytes;
	unpacking->stream.next_in = unpacking->packed;
	unpacking->stream.avail_in = len_bytes;
	return 0;
}

static int write_plain(struct unpacking *unpacking, struct err *err)
{
	const uint8_t *pos = unpacking->plain;
	size_t left_bytes = CHUNK_BYTES - unpacking->stream.avail_out;
	unpacking->unpacked_bytes += left_bytes;
	if (unpacking->unpacked_bytes > MINIDEBUG_MAX_BYTES)
		return err_set(err, -ENOSPC, "it unpacks to more than %d MiB",
			       MINIDEBUG_MAX_BYTES >> 20);
	while (left_bytes > 0) {
		ssize_t written = write(unpacking->fd, pos, left_bytes);
		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return err_set(err, -errno, "write to a memory file: %m");
		pos += written;
		left_bytes -= (size_t)written;
	}
	unpacking->stream.next_out = unpacking->plain;
	unpacking->stream.avail_out = CHUNK_BYTES;
	return 0;
}

static int unpack(struct unpacking *unpacking, struct err *err)
{
	unpacking->stream.next_out = unpacking->plain;
	unpacking->stream.avail_out = CHUNK_BYTES;
	for (;;) {
		int rc = unpacking->stream.avail_in ? 0 : refill(unpacking, err);
		if (rc)
			return rc;
		bool is_all = !unpacking->left_bytes;
		lzma_ret ret = lzma_code(&unpacking->stream, is_all ? LZMA_FINISH : LZMA_RUN);
		if (ret != LZMA_OK && ret != LZMA_STREAM_END)
			return lzma_error(ret, err);
		rc = write_plain(unpacking, err);
		if (rc || ret == LZMA_STREAM_END)
			return rc;
	}
}

int minidebug_open(const struct elf_file *file, const struct elf_section *section, int *fd,
		   struct err *err)
{
	if (section->size_bytes > MAX_PACKED_BYTES)
		return err_set(err, -ENOSPC, ".gnu_debugdata of %llu bytes",
			       (unsigned long long)section->size_bytes);
	AUTO_FD memory_fd = memfd_create("minidebug", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memory_fd < 0)
		return err_set(err, -errno, "memory file: %m");
	AUTO(unpacking) unpacking = calloc(1, sizeof(*unpacking));
	if (!unpacking)
		return err_set(err, -ENOMEM, "unpack .gnu_debugdata: %m");
	unpacking->file = file;
	unpacking->off = section->off;
	unpacking->left_bytes = section->size_bytes;
	unpacking->fd = memory_fd;
	lzma_ret ret = lzma_stream_decoder(&unpacking->stream, MAX_DECODER_BYTES,
					   LZMA_TELL_UNSUPPORTED_CHECK);
	int rc = ret == LZMA_OK ? unpack(unpacking, err) : lzma_error(ret, err);
	if (rc)
		return err_wrap(err, rc, "mini debug information");
	if (fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE))
		return err_set(err, -errno, "seal a memory file: %m");
	*fd = TAKE_FD(memory_fd);
	return 0;
}
