/*
 * jitdump_maker: writes jitdump files, field by field as
 * tools/perf/Documentation/jitdump-specification.txt lists them. Header only.
 */
#pragma once
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

#define JITDUMP_UNUSED __attribute__((unused))

/* What is 0 gets its usual value. */
struct jitdump_header {
	uint32_t magic, version, size_bytes;
	uint32_t reserved;
	uint64_t flags;
};

static JITDUMP_UNUSED void jitdump_header(struct buf *out, const struct jitdump_header *header)
{
	buf_append_u32le(out, header->magic ? header->magic : 0x4A695444);
	buf_append_u32le(out, header->version ? header->version : 1);
	buf_append_u32le(out, header->size_bytes ? header->size_bytes : 40);
	buf_append_u32le(out, 62); /* EM_X86_64 */
	buf_append_u32le(out, header->reserved);
	buf_append_u32le(out, 77); /* pid */
	buf_append_u64le(out, 0);
	buf_append_u64le(out, header->flags);
}

static JITDUMP_UNUSED void jitdump_record(struct buf *out, uint32_t id, uint64_t time_ns,
					  const void *body, size_t body_bytes)
{
	buf_append_u32le(out, id);
	buf_append_u32le(out, (uint32_t)(16 + body_bytes));
	buf_append_u64le(out, time_ns);
	buf_append(out, body, body_bytes);
}

static JITDUMP_UNUSED void jitdump_load(struct buf *out, uint64_t time_ns, uint64_t ip,
					uint64_t size_bytes, const char *name)
{
	buf_append_u32le(out, 0);
	buf_append_u32le(out, (uint32_t)(16 + 40 + strlen(name) + 1 + size_bytes));
	buf_append_u64le(out, time_ns);
	buf_append_u32le(out, 77); /* pid */
	buf_append_u32le(out, 78); /* tid */
	buf_append_u64le(out, ip); /* vma */
	buf_append_u64le(out, ip);
	buf_append_u64le(out, size_bytes);
	buf_append_u64le(out, 1); /* code_index */
	buf_append(out, name, strlen(name) + 1);
	void *code = buf_extend(out, size_bytes);
	if (code)
		memset(code, 0xc3, size_bytes);
}

static JITDUMP_UNUSED void jitdump_move(struct buf *out, uint64_t time_ns, uint64_t old_ip,
					uint64_t new_ip, uint64_t size_bytes)
{
	buf_append_u32le(out, 1);
	buf_append_u32le(out, 16 + 48);
	buf_append_u64le(out, time_ns);
	buf_append_u32le(out, 77);
	buf_append_u32le(out, 78);
	buf_append_u64le(out, new_ip); /* vma */
	buf_append_u64le(out, old_ip);
	buf_append_u64le(out, new_ip);
	buf_append_u64le(out, size_bytes);
	buf_append_u64le(out, 1); /* code_index */
}

struct jitdump_line {
	uint64_t ip;
	uint32_t line;
	const char *file;
};

static JITDUMP_UNUSED void jitdump_debug_info(struct buf *out, uint64_t time_ns, uint64_t code_ip,
					      const struct jitdump_line *lines, size_t count)
{
	size_t body_bytes = 16;
	for (size_t i = 0; i < count; i++)
		body_bytes += 16 + strlen(lines[i].file) + 1;
	buf_append_u32le(out, 2);
	buf_append_u32le(out, (uint32_t)(16 + body_bytes));
	buf_append_u64le(out, time_ns);
	buf_append_u64le(out, code_ip);
	buf_append_u64le(out, count);
	for (size_t i = 0; i < count; i++) {
		buf_append_u64le(out, lines[i].ip);
		buf_append_u32le(out, lines[i].line);
		buf_append_u32le(out, 0); /* discriminator */
		buf_append(out, lines[i].file, strlen(lines[i].file) + 1);
	}
}
