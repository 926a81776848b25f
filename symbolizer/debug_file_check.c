#include "symbolizer/debug_file_check.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "symbolizer/debug_file_links.h"

#define MAX_SUMMED_BYTES (INT64_C(4) << 30) /* seconds of reading; real ones have up to 2 GiB */
enum { CHUNK_BYTES = 256 << 10 };

static int check_elf(int fd, const struct debug_file_want *want, struct err *err)
{
	int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (own_fd < 0)
		return err_set(err, -errno, "dup: %m");
	struct elf_file *opened;
	int rc = elf_file_open_debug(&opened, own_fd, err);
	if (rc)
		return rc;
	AUTO(elf_file) file = opened;
	struct debug_file_links links;
	rc = debug_file_links_read(&links, file, err);
	if (rc)
		return rc;
	if (links.is_stripped)
		return err_set(err, -ESTALE, "it has no debug information");
	uint8_t id[ELF_BUILD_ID_MAX_BYTES];
	size_t id_bytes = elf_file_build_id(file, id);
	if (!want->id_bytes || (!id_bytes && want->crc32))
		return 0; /* the checksum decides */
	if (!id_bytes)
		return err_set(err, -ESTALE, "it has no build ID");
	if (id_bytes != want->id_bytes || memcmp(id, want->id, id_bytes) != 0)
		return err_set(err, -ESTALE, "it is of another build");
	return 0;
}

static int check_crc32(int fd, uint32_t wanted, struct err *err)
{
	struct stat st;
	if (fstat(fd, &st))
		return err_set(err, -errno, "fstat: %m");
	if (st.st_size > MAX_SUMMED_BYTES)
		return err_set(err, -EFBIG, "too large to be checked");
	AUTO_MEM uint8_t *chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return err_set(err, -ENOMEM, "checksum: %m");
	uLong crc = 0;
	for (off_t off = 0; off < st.st_size;) {
		ssize_t got = pread(fd, chunk, CHUNK_BYTES, off);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(err, -errno, "read: %m");
		if (got == 0)
			break; /* it shrank; the checksum tells */
		crc = crc32_z(crc, chunk, (size_t)got);
		off += got;
	}
	return crc == wanted ? 0 : err_set(err, -ESTALE, "its checksum is another");
}

int debug_file_check(int fd, const struct debug_file_want *want, struct err *err)
{
	if (!want->id_bytes && !want->crc32)
		return err_set(err, -ESTALE, "nothing tells that it is the right file");
	int rc = check_elf(fd, want, err);
	if (!rc && want->crc32)
		rc = check_crc32(fd, *want->crc32, err);
	return rc;
}
