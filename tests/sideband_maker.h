/*
 * sideband_maker: perf side-band records byte by byte, for tests of what reads them.
 *
 * Layouts: perf_event_open(2), "MMAP layout"; every record ends with {pid, tid, time}.
 */
#pragma once
#include <linux/perf_event.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"

enum { MAKER_BUILD_ID_FLAG = 1 << 14 /* PERF_RECORD_MISC_MMAP_BUILD_ID */ };

static inline void maker_begin(struct buf *out, uint32_t type, uint16_t misc)
{
	buf_init(out, 1 << 16);
	struct perf_event_header header = {.type = type, .misc = misc};
	buf_append(out, &header, sizeof(header));
}

/* Padded to 8 bytes, as the kernel does. */
static inline void maker_text(struct buf *out, const char *text)
{
	buf_append(out, text, strlen(text) + 1);
	while (out->len_bytes % 8)
		buf_append_u8(out, 0);
}

static inline void maker_end(struct buf *out, uint64_t time_mono_ns)
{
	buf_append_u32le(out, 0xaaaa);
	buf_append_u32le(out, 0xbbbb);
	buf_append_u64le(out, time_mono_ns);
	uint16_t size_bytes = (uint16_t)out->len_bytes;
	memcpy(out->data + offsetof(struct perf_event_header, size), &size_bytes,
	       sizeof(size_bytes));
}

static inline void maker_mmap_head(struct buf *out, uint16_t misc)
{
	maker_begin(out, PERF_RECORD_MMAP2, misc);
	buf_append_u32le(out, 100);
	buf_append_u32le(out, 101);
	buf_append_u64le(out, 0x7f0000001000);
	buf_append_u64le(out, 0x2000);
	buf_append_u64le(out, 0x3000);
}

static inline void maker_mmap_tail(struct buf *out, const char *path)
{
	buf_append_u32le(out, 5); /* PROT_READ | PROT_EXEC */
	buf_append_u32le(out, 2); /* MAP_PRIVATE */
	maker_text(out, path);
	maker_end(out, 123456789);
}

static inline void maker_mmap_inode(struct buf *out, const char *path)
{
	maker_mmap_head(out, 0);
	buf_append_u32le(out, 8);
	buf_append_u32le(out, 1);
	buf_append_u64le(out, 4242);
	buf_append_u64le(out, 7);
	maker_mmap_tail(out, path);
}

static inline void maker_mmap_build_id(struct buf *out, uint8_t build_id_bytes, const char *path)
{
	maker_mmap_head(out, MAKER_BUILD_ID_FLAG);
	buf_append_u8(out, build_id_bytes);
	for (uint8_t i = 0; i < 3; i++)
		buf_append_u8(out, 0);
	for (uint8_t i = 0; i < 20; i++)
		buf_append_u8(out, i + 1);
	maker_mmap_tail(out, path);
}

static inline void maker_comm(struct buf *out, uint16_t misc, const char *comm)
{
	maker_begin(out, PERF_RECORD_COMM, misc);
	buf_append_u32le(out, 100);
	buf_append_u32le(out, 101);
	maker_text(out, comm);
	maker_end(out, 123456789);
}

static inline void maker_task(struct buf *out, uint32_t type)
{
	maker_begin(out, type, 0);
	buf_append_u32le(out, 100);
	buf_append_u32le(out, 200);
	buf_append_u32le(out, 101);
	buf_append_u32le(out, 201);
	buf_append_u64le(out, 123456789);
	maker_end(out, 123456789);
}

static inline void maker_lost(struct buf *out, uint64_t lost)
{
	maker_begin(out, PERF_RECORD_LOST, 0);
	buf_append_u64le(out, 77);
	buf_append_u64le(out, lost);
	maker_end(out, 123456789);
}
