#include "profiler/sideband.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "base/array.h"
#include "base/buf.h"
#include "profiler/cpu_list.h"
#include "profiler/perf_event.h"

enum { RING_PAGES = 256, MIN_RING_PAGES = 16, MAX_EVENTS = 1 << 20, MAX_RECORD_BYTES = 1 << 16 };

struct cpu_ring {
	uint32_t cpu;
	int fd;
	struct perf_event_mmap_page *page; /* followed by the data */
	size_t mapped_bytes;
	uint64_t enabled_ns; /* perf_event_is_dead() */
};

struct sideband {
	int epoll_fd;
	struct cpu_ring *rings;
	size_t ring_count, ring_cap;
	struct sideband_event *events; /* of the last drain */
	size_t event_count, event_cap;
	uint64_t unstored; /* records of this drain there was no memory for */
	bool has_gap;      /* a CPU came or went since the last drain */
	struct buf record; /* one that wraps around the end of its ring */
};

static void ring_close(struct cpu_ring *ring)
{
	munmap(ring->page, ring->mapped_bytes);
	close(ring->fd);
}

static void forget_events(struct sideband *sideband)
{
	for (size_t i = 0; i < sideband->event_count; i++)
		free(sideband->events[i].name);
	sideband->event_count = 0;
}

void sideband_free(struct sideband *sideband)
{
	if (!sideband)
		return;
	for (size_t i = 0; i < sideband->ring_count; i++)
		ring_close(&sideband->rings[i]);
	free(sideband->rings);
	forget_events(sideband);
	free(sideband->events);
	buf_fini(&sideband->record);
	auto_close_fd(&sideband->epoll_fd);
	free(sideband);
}

static int open_event(uint32_t cpu, struct err *err)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.sample_id_all = 1,
		.mmap = 1,
		.mmap2 = 1,
		.build_id = 1,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark = 1, /* a process may live a few ms only */
	};
	int fd = perf_event_open_cpu(&attr, cpu, "perf side-band", err);
	if (fd != -EINVAL)
		return fd;
	attr.build_id = 0; /* before 5.12; the files tell then */
	return perf_event_open_cpu(&attr, cpu, "perf side-band", err);
}

/* As large as perf_event_mlock_kb allows an unprivileged user, or RING_PAGES. */
static int map_ring(struct cpu_ring *ring, struct err *err)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	for (size_t pages = RING_PAGES; pages >= MIN_RING_PAGES; pages /= 2) {
		ring->mapped_bytes = (pages + 1) * page_bytes;
		void *page = mmap(NULL, ring->mapped_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
				  ring->fd, 0);
		if (page != MAP_FAILED) {
			ring->page = page;
			return 0;
		}
	}
	return err_set(err, -errno, "map the side-band ring of CPU %u: %m", ring->cpu);
}

static int attach_cpu(struct sideband *sideband, uint32_t cpu, struct err *err)
{
	if (ARRAY_RESERVE(sideband->rings, sideband->ring_cap, sideband->ring_count, CPU_LIST_MAX))
		return err_set(err, -ENOMEM, "CPU %u: %m", cpu);
	AUTO_FD fd = open_event(cpu, err);
	if (fd < 0)
		return fd;
	struct cpu_ring ring = {.cpu = cpu, .fd = fd};
	int rc = map_ring(&ring, err);
	if (rc)
		return rc;
	struct epoll_event interest = {.events = EPOLLIN};
	if (epoll_ctl(sideband->epoll_fd, EPOLL_CTL_ADD, fd, &interest) ||
	    ioctl(fd, PERF_EVENT_IOC_ENABLE, 0)) {
		rc = err_set(err, -errno, "side-band of CPU %u: %m", cpu);
		munmap(ring.page, ring.mapped_bytes);
		return rc;
	}
	sideband->rings[sideband->ring_count++] = ring;
	(void)TAKE_FD(fd);
	return 0;
}

static bool has_ring(const struct sideband *sideband, uint32_t cpu)
{
	for (size_t i = 0; i < sideband->ring_count; i++)
		if (sideband->rings[i].cpu == cpu)
			return true;
	return false;
}

int sideband_follow_cpus(struct sideband *sideband, struct err *err)
{
	struct cpu_list online;
	int rc = cpu_list_online(&online, err);
	if (rc)
		return rc;
	size_t kept = 0;
	for (size_t i = 0; i < sideband->ring_count; i++) {
		struct cpu_ring ring = sideband->rings[i];
		/* A CPU may have gone and come back since the last look. */
		if (!perf_event_is_dead(ring.fd, &ring.enabled_ns) &&
		    cpu_list_has(&online, ring.cpu))
			sideband->rings[kept++] = ring;
		else
			ring_close(&ring);
	}
	sideband->has_gap |= kept < sideband->ring_count;
	sideband->ring_count = kept;
	for (uint32_t cpu = 0; cpu < CPU_LIST_MAX && !rc; cpu++) {
		if (!cpu_list_has(&online, cpu) || has_ring(sideband, cpu))
			continue;
		rc = attach_cpu(sideband, cpu, err);
		sideband->has_gap = true;
		if (rc == -ENODEV)
			rc = 0; /* gone again meanwhile */
	}
	return rc;
}

int sideband_open(struct sideband **out, struct err *err)
{
	AUTO(sideband) sideband = calloc(1, sizeof(*sideband));
	if (!sideband)
		return err_set(err, -ENOMEM, "side-band: %m");
	buf_init(&sideband->record, MAX_RECORD_BYTES);
	sideband->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sideband->epoll_fd < 0)
		return err_set(err, -errno, "side-band: epoll: %m");
	int rc = sideband_follow_cpus(sideband, err);
	/* From now on there is room for one event, so that a loss can always be told. */
	if (!rc && ARRAY_RESERVE(sideband->events, sideband->event_cap, 0, MAX_EVENTS))
		rc = err_set(err, -ENOMEM, "side-band: %m");
	if (rc)
		return rc;
	sideband->has_gap = false;
	*out = TAKE(sideband);
	return 0;
}

int sideband_fd(const struct sideband *sideband)
{
	return sideband->epoll_fd;
}

static void push_event(struct sideband *sideband, struct reader record)
{
	if (ARRAY_RESERVE(sideband->events, sideband->event_cap, sideband->event_count,
			  MAX_EVENTS)) {
		sideband->unstored++;
		return;
	}
	struct sideband_event *event = &sideband->events[sideband->event_count];
	int rc = sideband_parse(event, record);
	if (rc == -EOPNOTSUPP)
		return;
	if (rc)
		*event = (struct sideband_event){.kind = SIDEBAND_LOST, .lost = 1};
	sideband->event_count++;
}

/* One record at tail, contiguous: in place, or copied when it wraps. */
static struct reader record_at(struct sideband *sideband, const struct cpu_ring *ring,
			       uint64_t tail, size_t size_bytes)
{
	const uint8_t *data = (const uint8_t *)ring->page + ring->page->data_offset;
	size_t data_bytes = ring->page->data_size;
	size_t at = tail % data_bytes;
	if (at + size_bytes <= data_bytes)
		return reader_of(data + at, size_bytes);
	buf_clear(&sideband->record);
	buf_append(&sideband->record, data + at, data_bytes - at);
	buf_append(&sideband->record, data, size_bytes - (data_bytes - at));
	return reader_of(sideband->record.data, sideband->record.len_bytes);
}

/* data_head and data_tail: "perf_event_mmap_page" in include/uapi/linux/perf_event.h. Headers
 * are 8 bytes at multiples of 8, so a header itself never wraps. */
static void drain_ring(struct sideband *sideband, const struct cpu_ring *ring)
{
	uint64_t head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	uint64_t tail = ring->page->data_tail;
	while (tail < head) {
		struct perf_event_header header;
		struct reader r = record_at(sideband, ring, tail, sizeof(header));
		const void *bytes = reader_bytes(&r, sizeof(header));
		if (!bytes)
			break;
		memcpy(&header, bytes, sizeof(header));
		if (header.size < sizeof(header) || header.size > head - tail) {
			sideband->unstored++; /* cannot be: there is no way to find the next one */
			break;
		}
		push_event(sideband, record_at(sideband, ring, tail, header.size));
		tail += header.size;
	}
	__atomic_store_n(&ring->page->data_tail, head, __ATOMIC_RELEASE);
}

static int by_time(const void *a, const void *b)
{
	uint64_t left = ((const struct sideband_event *)a)->time_mono_ns;
	uint64_t right = ((const struct sideband_event *)b)->time_mono_ns;
	return (left > right) - (left < right);
}

/* Put what was lost without a record of its own into one. */
static void push_losses(struct sideband *sideband)
{
	if (!sideband->unstored && !sideband->has_gap)
		return;
	if (ARRAY_RESERVE(sideband->events, sideband->event_cap, sideband->event_count,
			  MAX_EVENTS)) {
		free(sideband->events[--sideband->event_count].name);
		sideband->unstored++;
	}
	sideband->events[sideband->event_count++] =
		(struct sideband_event){.kind = SIDEBAND_LOST, .lost = sideband->unstored};
	sideband->has_gap = false;
}

/* glibc's qsort is a merge sort, stable, as long as memory for the copy can be had: events of
 * one thread at the same ns stay in their order. */
size_t sideband_drain(struct sideband *sideband, struct sideband_event **events)
{
	forget_events(sideband);
	sideband->unstored = 0;
	for (size_t i = 0; i < sideband->ring_count; i++)
		drain_ring(sideband, &sideband->rings[i]);
	push_losses(sideband);
	if (sideband->event_count)
		qsort(sideband->events, sideband->event_count, sizeof(*sideband->events), by_time);
	*events = sideband->events;
	return sideband->event_count;
}
