#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>

#include "profiler/procfs.h"
#include "profiler/sideband.h"

/* {pid, tid, time}: PERF_SAMPLE_TID | PERF_SAMPLE_TIME at the end of every record. */
enum { SAMPLE_ID_BYTES = 16, PERF_HEADER_BYTES = 8, MISC_MMAP_BUILD_ID = 1 << 14 };

static int take_name(struct sideband_event *event, struct reader *r)
{
	const char *name = reader_cstr(r);
	if (!name)
		return -EBADMSG;
	event->name = strndup(name, SIDEBAND_NAME_BYTES * 16);
	return event->name ? 0 : -ENOMEM;
}

static int parse_mmap2(struct sideband_event *event, struct reader *r, bool has_build_id)
{
	event->kind = SIDEBAND_MMAP;
	event->pid = reader_u32(r);
	event->tid = reader_u32(r);
	event->start_ip = reader_u64(r);
	event->size_bytes = reader_u64(r);
	event->file_off = reader_u64(r);
	if (has_build_id) {
		event->build_id_bytes = reader_u8(r);
		reader_skip(r, 3);
		const void *build_id = reader_bytes(r, SIDEBAND_BUILD_ID_BYTES);
		if (!build_id || event->build_id_bytes > SIDEBAND_BUILD_ID_BYTES)
			return -EBADMSG;
		memcpy(event->build_id, build_id, SIDEBAND_BUILD_ID_BYTES);
	} else {
		event->dev_major = reader_u32(r);
		event->dev_minor = reader_u32(r);
		event->inode = reader_u64(r);
		event->inode_generation = reader_u64(r);
	}
	reader_skip(r, 8); /* prot, flags: only executable mappings are asked for */
	int rc = take_name(event, r);
	if (!rc)
		proc_path_cut_deleted(event->name);
	return rc;
}

static int parse_comm(struct sideband_event *event, struct reader *r, bool is_exec)
{
	event->kind = SIDEBAND_COMM;
	event->pid = reader_u32(r);
	event->tid = reader_u32(r);
	event->is_exec = is_exec;
	return take_name(event, r);
}

static int parse_task(struct sideband_event *event, struct reader *r, enum sideband_kind kind)
{
	event->kind = kind;
	event->pid = reader_u32(r);
	event->parent_pid = reader_u32(r);
	event->tid = reader_u32(r);
	event->parent_tid = reader_u32(r);
	return 0;
}

static int parse_lost(struct sideband_event *event, struct reader *r)
{
	event->kind = SIDEBAND_LOST;
	reader_skip(r, 8); /* id of the event */
	event->lost = reader_u64(r);
	return 0;
}

static int parse_body(struct sideband_event *event, struct reader *r, uint32_t type, uint16_t misc)
{
	switch (type) {
	case PERF_RECORD_MMAP2:
		return parse_mmap2(event, r, misc & MISC_MMAP_BUILD_ID);
	case PERF_RECORD_COMM:
		return parse_comm(event, r, misc & PERF_RECORD_MISC_COMM_EXEC);
	case PERF_RECORD_FORK:
		return parse_task(event, r, SIDEBAND_FORK);
	case PERF_RECORD_EXIT:
		return parse_task(event, r, SIDEBAND_EXIT);
	case PERF_RECORD_LOST:
		return parse_lost(event, r);
	default:
		return -EOPNOTSUPP;
	}
}

int sideband_parse(struct sideband_event *event, struct reader record)
{
	struct sideband_event parsed = {0};
	uint32_t type = reader_u32(&record);
	uint16_t misc = reader_u16(&record);
	uint16_t size_bytes = reader_u16(&record);
	if (record.bad || size_bytes < PERF_HEADER_BYTES + SAMPLE_ID_BYTES ||
	    (size_t)size_bytes - PERF_HEADER_BYTES > reader_left_bytes(&record))
		return -EBADMSG;
	struct reader body = reader_sub(&record, size_bytes - PERF_HEADER_BYTES - SAMPLE_ID_BYTES);
	reader_skip(&record, 8); /* pid, tid of who caused it */
	parsed.time_mono_ns = reader_u64(&record);
	int rc = parse_body(&parsed, &body, type, misc);
	if (!rc && body.bad)
		rc = -EBADMSG;
	if (rc) {
		free(parsed.name);
		return rc;
	}
	*event = parsed;
	return 0;
}
