/*
 * By the first byte: any bytes as an ELF file that is searched for links and mini debug
 * information, or as one section of such a file: .gnu_debuglink, .gnu_debugaltlink or
 * .gnu_debugdata.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "section_maker.h"
#include "symbolizer/debug_file_links.h"
#include "symbolizer/minidebug.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

static void check(bool is_true)
{
	if (!is_true)
		__builtin_trap();
}

static void check_links(const struct debug_file_links *links)
{
	size_t name_len = strnlen(links->link_name, sizeof(links->link_name));
	check(name_len < sizeof(links->link_name) && !strchr(links->link_name, '/'));
	check(strcmp(links->link_name, "..") != 0 && strcmp(links->link_name, ".") != 0);
	size_t path_len = strnlen(links->alternate_path, sizeof(links->alternate_path));
	check(path_len < sizeof(links->alternate_path));
	check(!path_len == !links->alternate_id_bytes);
	check(links->alternate_id_bytes <= ELF_BUILD_ID_MAX_BYTES);
}

static void check_mini(const struct elf_file *file, const struct elf_section *section)
{
	int fd = -1;
	struct err err = {0};
	int rc = minidebug_open(file, section, &fd, &err);
	check(rc == err.code && (rc == 0) == (fd >= 0));
	if (rc) {
		check(rc == -EBADMSG || rc == -ENODATA || rc == -EOPNOTSUPP || rc == -ENOSPC);
		return;
	}
	check(lseek(fd, 0, SEEK_END) <= MINIDEBUG_MAX_BYTES);
	struct elf_file *inner; /* takes the descriptor */
	if (!elf_file_open(&inner, fd, NULL))
		elf_file_free(inner);
}

static void read_file(const void *image, size_t len_bytes)
{
	struct elf_file *file;
	struct debug_file_links links;
	if (elf_file_from_memory(&file, image, len_bytes, NULL))
		return;
	if (!debug_file_links_read(&links, file, NULL)) {
		check_links(&links);
		if (links.has_minidebug)
			check_mini(file, &links.minidebug);
	}
	elf_file_free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	static const char *const names[] = {".gnu_debuglink", ".gnu_debugaltlink",
					    ".gnu_debugdata"};
	if (!len_bytes)
		return 0;
	unsigned kind = data[0] % 4;
	if (kind == 3) {
		read_file(data + 1, len_bytes - 1);
		return 0;
	}
	struct buf image;
	buf_init(&image, 1 << 20);
	const struct made_section section = {names[kind], data + 1, len_bytes - 1, 0};
	section_maker_elf(&image, &section, 1);
	check(!buf_error(&image));
	read_file(image.data, image.len_bytes);
	buf_fini(&image);
	return 0;
}
