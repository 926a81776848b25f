/*
 * Any bytes as a GSYM file: opened, and asked for the addresses that it claims to have and some
 * others. The first byte says whether a trailer of Hearth's is put behind the rest, so that the
 * words behind functions are read, too.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "symbolizer/gsym.h"
#include "symbolizer/gsym_format.h"

enum { MAX_FRAMES = 16, MAX_INPUT_BYTES = 1 << 20, SOME = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes);

/* Everything that an answer lends is read. */
static size_t touch(const struct gsym *gsym, uint64_t vaddr)
{
	struct gsym_frame frames[MAX_FRAMES];
	struct gsym_answer answer;
	size_t total = 0;
	if (!gsym_lookup(gsym, vaddr, frames, MAX_FRAMES, &answer))
		return 0;
	if (answer.frame_count > MAX_FRAMES)
		__builtin_trap();
	for (uint32_t i = 0; i < answer.frame_count; i++)
		total += strlen(frames[i].name) + strlen(frames[i].directory) +
			 strlen(frames[i].base);
	return total;
}

static void ask(const struct gsym *gsym, const uint8_t *data, size_t len_bytes)
{
	uint64_t base_vaddr;
	if (len_bytes < GSYM_HEADER_BYTES)
		return;
	memcpy(&base_vaddr, data + 8, sizeof(base_vaddr));
	size_t total = 0;
	for (uint64_t i = 0; i < SOME; i++)
		total += touch(gsym, base_vaddr + i * i * i);
	/* Where the address offsets are, of 4 bytes in most files. */
	for (size_t i = 0; i < SOME; i++) {
		uint32_t value;
		size_t off = GSYM_HEADER_BYTES + i * sizeof(value);
		if (off + sizeof(value) > len_bytes)
			break;
		memcpy(&value, data + off, sizeof(value));
		total += touch(gsym, base_vaddr + value);
	}
	total += touch(gsym, 0) + touch(gsym, UINT64_MAX);
	__asm__ volatile("" : : "r"(total)); /* so that it is read */
}

static void append_trailer(struct buf *file)
{
	buf_append(file, GSYM_TRAILER_MAGIC, strlen(GSYM_TRAILER_MAGIC));
	buf_append_u32le(file, GSYM_TRAILER_VERSION);
	buf_append_u32le(file, 0);
	buf_append_u32le(file, 0);
	buf_append_u32le(file, 0);
	buf_append_u64le(file, file->len_bytes + 8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len_bytes)
{
	if (len_bytes < 1 || len_bytes > MAX_INPUT_BYTES)
		return 0;
	AUTO_FINI(buf_fini) struct buf file;
	buf_init(&file, 2 * MAX_INPUT_BYTES);
	buf_append(&file, data + 1, len_bytes - 1);
	if (data[0] & 1)
		append_trailer(&file);
	AUTO(gsym) gsym = NULL;
	if (!buf_error(&file) && !gsym_from_memory(&gsym, file.data, file.len_bytes, NULL))
		ask(gsym, data + 1, len_bytes - 1);
	return 0;
}
