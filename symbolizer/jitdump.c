#include "symbolizer/jitdump.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/reader.h"

enum {
	MAGIC = 0x4A695444, /* "DTiJ" in the file, when it is little-endian */
	MAGIC_SWAPPED = 0x4454694A,
	VERSION = 1,
	HEADER_BYTES = 40,
	PREFIX_BYTES = 16, /* of a record: id, total_size, timestamp */
	FLAG_ARCH_TIMESTAMP = 1,
};

enum record_id { CODE_LOAD = 0, CODE_MOVE = 1, CODE_DEBUG_INFO = 2, CODE_CLOSE = 3 };

/* V8 marks its headers with this, and adds the size of an ELF header to the addresses of lines,
 * because that is what `perf inject` puts before the code. src/diagnostics/perf-jit.cc */
static const uint32_t V8_RESERVED = 0xdeadbeef;
enum { V8_LINE_SHIFT = 0x40 };

enum { WINDOW_BYTES = 256 << 10, MAX_READ_BYTES = 64 << 20, MAX_LINES_OF_CODE = 8192 };

/* A line table waits for the code it belongs to: that is the next one of its address. */
struct line_table {
	uint64_t code_ip;
	uint64_t last_off; /* of its lines; 0 when there are none */
	size_t line_count; /* 0: no table waits */
	struct jit_line_info lines[MAX_LINES_OF_CODE];
	char texts[WINDOW_BYTES]; /* what `lines` point to */
};

struct jitdump {
	struct jit_codes *codes;
	uint64_t off; /* read up to here, the end of a record; 0: the header is to come */
	uint64_t line_shift;
	bool has_other_clock;
	bool is_closed; /* nothing is to come */
	int damage;     /* -EBADMSG, -EOPNOTSUPP: no further reading */
	uint64_t bad_records;
	struct line_table table;
	uint8_t window[WINDOW_BYTES];
};

int jitdump_new(struct jitdump **out, const struct jit_limits *limits)
{
	AUTO(jitdump) dump = calloc(1, sizeof(*dump));
	if (!dump)
		return -ENOMEM;
	int rc = jit_codes_new(&dump->codes, limits);
	if (rc)
		return rc;
	*out = TAKE(dump);
	return 0;
}

void jitdump_free(struct jitdump *dump)
{
	if (!dump)
		return;
	jit_codes_free(dump->codes);
	free(dump);
}

static int take_header(struct jitdump *dump, size_t len_bytes, struct err *err)
{
	struct reader r = reader_of(dump->window, len_bytes);
	uint32_t magic = reader_u32(&r), version = reader_u32(&r), size_bytes = reader_u32(&r);
	reader_skip(&r, 4); /* elf_mach */
	uint32_t reserved = reader_u32(&r);
	reader_skip(&r, 4 + 8); /* pid, timestamp */
	uint64_t flags = reader_u64(&r);
	if (r.bad)
		return err_set(err, -ENODATA, "jitdump: shorter than its header");
	if (magic == MAGIC_SWAPPED)
		return err_set(err, -EOPNOTSUPP, "jitdump: written in the other byte order");
	if (magic != MAGIC)
		return err_set(err, -EBADMSG, "jitdump: magic number is 0x%" PRIx32, magic);
	if (version != VERSION)
		return err_set(err, -EOPNOTSUPP, "jitdump: version %" PRIu32 ", not %d", version,
			       VERSION);
	if (size_bytes < HEADER_BYTES)
		return err_set(err, -EBADMSG, "jitdump: header of %" PRIu32 " bytes", size_bytes);
	dump->off = size_bytes;
	dump->has_other_clock = flags & FLAG_ARCH_TIMESTAMP;
	dump->line_shift = reserved == V8_RESERVED ? V8_LINE_SHIFT : 0;
	return 0;
}

/* "\xff" stands for the file of the entry before. tools/perf/util/jitdump.h */
static bool take_line(struct line_table *table, struct reader *r, uint64_t shift)
{
	uint64_t line_ip = reader_u64(r) - shift;
	uint32_t number = reader_u32(r);
	reader_skip(r, 4); /* discriminator */
	const char *file = reader_cstr(r);
	uint64_t off = line_ip - table->code_ip;
	if (!file || off > UINT32_MAX)
		return false;
	struct jit_line_info line = {(uint32_t)off, number, file, strlen(file)};
	if (!strcmp(file, "\xff")) {
		if (!table->line_count)
			return false;
		line.file = table->lines[table->line_count - 1].file;
		line.file_bytes = table->lines[table->line_count - 1].file_bytes;
	}
	table->lines[table->line_count++] = line;
	if (off > table->last_off)
		table->last_off = off;
	return true;
}

static int by_off(const void *a, const void *b)
{
	const struct jit_line_info *left = a, *right = b;
	if (left->off != right->off)
		return left->off < right->off ? -1 : 1;
	return (left->line > right->line) - (left->line < right->line);
}

/* Writers give them in order, but need not. */
static void sort_lines(struct line_table *table)
{
	for (size_t i = 1; i < table->line_count; i++)
		if (table->lines[i].off < table->lines[i - 1].off)
			return qsort(table->lines, table->line_count, sizeof(*table->lines),
				     by_off);
}

static bool take_debug_info(struct jitdump *dump, struct reader *body)
{
	struct line_table *table = &dump->table;
	table->line_count = table->last_off = 0;
	size_t text_bytes = reader_left_bytes(body);
	memcpy(table->texts, body->pos, text_bytes);
	struct reader r = reader_of(table->texts, text_bytes);
	table->code_ip = reader_u64(&r);
	uint64_t entries = reader_u64(&r);
	bool is_good = !r.bad && entries <= MAX_LINES_OF_CODE;
	for (uint64_t i = 0; i < entries && is_good; i++)
		is_good = take_line(table, &r, dump->line_shift);
	if (!is_good)
		table->line_count = 0;
	sort_lines(table);
	return is_good;
}

static int take_load(struct jitdump *dump, struct reader *body, uint64_t from_mono_ns)
{
	reader_skip(body, 4 + 4 + 8); /* pid, tid, vma */
	struct jit_code_info info = {.from_mono_ns = from_mono_ns};
	info.start_ip = reader_u64(body);
	info.size_bytes = reader_u64(body);
	reader_skip(body, 8); /* code_index */
	info.name = reader_cstr(body);
	if (!info.name)
		return -EINVAL;
	info.name_bytes = strlen(info.name);
	struct line_table *table = &dump->table;
	/* Node 20 writes file names of scripts wrongly, and so the entries after them. A table
	 * that tells of other code is not one. */
	if (table->line_count && table->code_ip == info.start_ip) {
		bool is_good = table->last_off <= info.size_bytes;
		dump->bad_records += !is_good;
		info.lines = table->lines;
		info.line_count = is_good ? table->line_count : 0;
	}
	table->line_count = 0;
	return jit_codes_add(dump->codes, &info);
}

static int take_move(struct jitdump *dump, struct reader *body, uint64_t from_mono_ns)
{
	reader_skip(body, 4 + 4 + 8); /* pid, tid, vma */
	uint64_t old_ip = reader_u64(body), new_ip = reader_u64(body), size = reader_u64(body);
	return body->bad ? -EINVAL
			 : jit_codes_move(dump->codes, old_ip, new_ip, size, from_mono_ns);
}

/* body is what is there of the record: less than all of it when that is larger than the window. */
static int take_record(struct jitdump *dump, uint32_t id, uint64_t time_ns, struct reader *body,
		       bool is_whole)
{
	uint64_t from_mono_ns = dump->has_other_clock ? 0 : time_ns;
	int rc = 0;
	if (id == CODE_LOAD)
		rc = take_load(dump, body, from_mono_ns);
	else if (id == CODE_MOVE)
		rc = take_move(dump, body, from_mono_ns);
	else if (id == CODE_DEBUG_INFO)
		rc = is_whole && take_debug_info(dump, body) ? 0 : -EINVAL;
	else if (id == CODE_CLOSE)
		dump->is_closed = true;
	if (rc != -EINVAL)
		return rc;
	dump->bad_records++;
	return 0;
}

/* Take the records of the window that are whole, or the first one when it is larger than any
 * window, and move on past them. 0: no whole record was there; or -errno. */
static int64_t take_window(struct jitdump *dump, size_t len_bytes, uint64_t file_bytes,
			   struct err *err)
{
	uint64_t done_bytes = 0;
	while (!dump->is_closed && len_bytes >= done_bytes + PREFIX_BYTES) {
		struct reader r = reader_of(dump->window + done_bytes, len_bytes - done_bytes);
		uint32_t id = reader_u32(&r), size_bytes = reader_u32(&r);
		uint64_t time_ns = reader_u64(&r);
		if (size_bytes < PREFIX_BYTES)
			return err_set(err, -EBADMSG, "jitdump: record of %" PRIu32 " bytes",
				       size_bytes);
		if (dump->off + done_bytes + size_bytes > file_bytes)
			break;
		bool is_whole = done_bytes + size_bytes <= len_bytes;
		if (!is_whole && done_bytes)
			break;
		struct reader body = reader_sub(&r, is_whole ? size_bytes - PREFIX_BYTES
							     : reader_left_bytes(&r));
		int rc = take_record(dump, id, time_ns, &body, is_whole);
		if (rc)
			return err_set(err, rc, "jitdump: %m");
		done_bytes += size_bytes;
	}
	return (int64_t)done_bytes;
}

static int take_windows(struct jitdump *dump, int fd, uint64_t file_bytes, struct err *err)
{
	uint64_t stop = dump->off + MAX_READ_BYTES;
	while (dump->off < stop && !dump->is_closed) {
		ssize_t len_bytes = pread(fd, dump->window, sizeof(dump->window), (off_t)dump->off);
		if (len_bytes < 0)
			return err_set(err, -errno, "read jitdump: %m");
		if (!dump->off) {
			int rc = take_header(dump, (size_t)len_bytes, err);
			if (rc)
				return rc;
			continue;
		}
		int64_t done_bytes = take_window(dump, (size_t)len_bytes, file_bytes, err);
		if (done_bytes <= 0)
			return (int)done_bytes;
		dump->off += (uint64_t)done_bytes;
	}
	return 0;
}

int jitdump_read(struct jitdump *dump, int fd, struct err *err)
{
	struct stat st;
	if (dump->damage)
		return err_set(err, dump->damage, "jitdump: damaged, or not for us");
	if (fstat(fd, &st))
		return err_set(err, -errno, "jitdump: %m");
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "jitdump: not a regular file");
	int rc = take_windows(dump, fd, (uint64_t)st.st_size, err);
	if (rc == -EBADMSG || rc == -EOPNOTSUPP)
		dump->damage = rc;
	int settled = jit_codes_settle(dump->codes);
	return rc || !settled ? rc : err_set(err, settled, "jitdump: %m");
}

bool jitdump_find(const struct jitdump *dump, uint64_t ip, uint64_t at_mono_ns,
		  struct jit_symbol *symbol)
{
	return jit_codes_find(dump->codes, ip, at_mono_ns, symbol);
}

void jitdump_stats(const struct jitdump *dump, struct jitdump_stats *stats)
{
	*stats = (struct jitdump_stats){
		.ranges = jit_codes_count(dump->codes),
		.bad_records = dump->bad_records,
		.refused = jit_codes_refused(dump->codes),
		.bytes = sizeof(*dump) + jit_codes_bytes(dump->codes),
	};
}
