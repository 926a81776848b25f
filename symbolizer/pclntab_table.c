#include "symbolizer/pclntab_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_TABLE_BYTES = 512 << 20,
	MAX_FUNCTIONS = 8 << 20,
	HEADER_BYTES = 8,
	MAX_HEADER_BYTES = HEADER_BYTES + 8 * 8,
	CHUNK_BYTES = 64 << 10,
	TABLE_ALIGN_BYTES = 8, /* it has that of pointers at least */
	MODULE_WORDS = 24,
	MODULE_TEXT_WORD = 22,
	MODULE_MIN_PC_WORD = 20,
	MAX_EMPTY_STEPS = 16, /* compilers write none */
	FLAG_TOP_OF_STACK = 1,
};

static const uint32_t magics[] = {
	[PCLNTAB_1_2] = 0xfffffffb,
	[PCLNTAB_1_16] = 0xfffffffa,
	[PCLNTAB_1_18] = 0xfffffff0,
	[PCLNTAB_1_20] = 0xfffffff1,
};

void pclntab_table_fini(struct pclntab_table *table)
{
	free(table->data);
	elf_image_free(table->image);
	*table = (struct pclntab_table){0};
}

static struct reader at(const struct pclntab_span *span, uint64_t off)
{
	struct reader r = reader_of(span->data, span->len_bytes);
	if (off > span->len_bytes)
		r.bad = true;
	else
		reader_skip(&r, (size_t)off);
	return r;
}

/* What all layouts begin with. */
struct start {
	enum pclntab_version version;
	uint32_t quantum;
	uint64_t function_count;
};

static bool read_start(struct reader *r, struct start *start)
{
	uint32_t magic = reader_u32(r);
	uint16_t zero = reader_u16(r);
	start->quantum = reader_u8(r);
	uint8_t pointer_bytes = reader_u8(r);
	start->function_count = reader_u64(r);
	for (unsigned int i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if (magic != magics[i])
			continue;
		start->version = i;
		return !r->bad && !zero && pointer_bytes == 8 &&
		       (start->quantum == 1 || start->quantum == 4) && start->function_count > 0 &&
		       start->function_count <= MAX_FUNCTIONS;
	}
	return false;
}

static size_t place_bytes(const struct pclntab_table *table)
{
	return table->version >= PCLNTAB_1_18 ? 4 : 8;
}

static bool set_span(const struct pclntab_table *table, struct pclntab_span *span, uint64_t off)
{
	if (off >= table->len_bytes)
		return false;
	*span = (struct pclntab_span){table->data + off, table->len_bytes - (size_t)off};
	return true;
}

/* An offset of 32 bits before the last place: the table of files. */
static bool set_old_files(struct pclntab_table *table, uint64_t index_off)
{
	uint64_t end_off = index_off + (uint64_t)table->function_count * 16 + 8;
	struct pclntab_span whole = {table->data, table->len_bytes};
	struct reader r = at(&whole, end_off);
	return set_span(table, &table->files, reader_u32(&r)) && !r.bad;
}

static bool set_spans(struct pclntab_table *table, struct reader *r)
{
	if (table->version == PCLNTAB_1_2) {
		struct pclntab_span whole = {table->data, table->len_bytes};
		table->names = table->values = table->functions = whole;
		return set_span(table, &table->index, HEADER_BYTES + 8) &&
		       set_old_files(table, HEADER_BYTES + 8);
	}
	reader_skip(r, 8); /* count of files */
	if (table->version >= PCLNTAB_1_18)
		table->text_vaddr = reader_u64(r);
	bool fits = set_span(table, &table->names, reader_u64(r)) &&
		    set_span(table, &table->units, reader_u64(r)) &&
		    set_span(table, &table->files, reader_u64(r)) &&
		    set_span(table, &table->values, reader_u64(r)) &&
		    set_span(table, &table->functions, reader_u64(r)) && !r->bad;
	table->index = table->functions;
	/* Each ends where the next begins. */
	struct pclntab_span *const spans[] = {&table->names, &table->units, &table->files,
					      &table->values, &table->functions};
	for (size_t i = 0; fits && i + 1 < sizeof(spans) / sizeof(spans[0]); i++) {
		fits = spans[i]->data <= spans[i + 1]->data;
		if (fits)
			spans[i]->len_bytes = (size_t)(spans[i + 1]->data - spans[i]->data);
	}
	return fits;
}

static bool read_header(struct pclntab_table *table)
{
	struct reader r = reader_of(table->data, table->len_bytes);
	struct start start;
	if (!read_start(&r, &start))
		return false;
	table->version = start.version;
	table->quantum = start.quantum;
	table->function_count = (uint32_t)start.function_count;
	if (!set_spans(table, &r))
		return false;
	size_t index_bytes = (size_t)(2 * start.function_count + 1) * place_bytes(table);
	return index_bytes <= table->index.len_bytes;
}

static bool is_code(const struct elf_file *file, uint64_t vaddr)
{
	size_t count;
	const struct elf_segment *segments = elf_file_segments(file, &count);
	for (size_t i = 0; i < count; i++)
		if ((segments[i].flags & PF_X) && vaddr >= segments[i].vaddr &&
		    vaddr - segments[i].vaddr < segments[i].memory_bytes)
			return true;
	return false;
}

static int load(struct pclntab_table *table, uint64_t vaddr, uint64_t len_bytes, struct err *err)
{
	if (len_bytes > MAX_TABLE_BYTES)
		return err_set(err, -ENOSPC, "Go's function table has %llu bytes",
			       (unsigned long long)len_bytes);
	free(table->data);
	*table = (struct pclntab_table){
		.image = table->image, .vaddr = vaddr, .len_bytes = (size_t)len_bytes};
	table->data = malloc(table->len_bytes + 1);
	if (!table->data)
		return err_set(err, -ENOMEM, "Go's function table: %m");
	int rc = elf_image_read(table->image, vaddr, table->data, table->len_bytes);
	return rc ? err_set(err, rc, "Go's function table: %m") : 0;
}

struct module {
	const struct pclntab_table *table;
	const struct elf_file *file;
	uint64_t vaddr, text_vaddr;
};

/* Does moduledata, which begins with a pointer to the table, stand there? The names come next
 * in it; the lowest place of code lies in the text. */
static bool is_module(void *ctx, uint64_t vaddr)
{
	struct module *module = ctx;
	const struct pclntab_table *table = module->table;
	uint64_t words[MODULE_WORDS];
	if (elf_image_read(table->image, vaddr, words, sizeof(words)))
		return false;
	uint64_t names_vaddr = table->vaddr + (uint64_t)(table->names.data - table->data);
	uint64_t text_vaddr = words[MODULE_TEXT_WORD];
	if (words[1] != names_vaddr || !is_code(module->file, text_vaddr) ||
	    words[MODULE_MIN_PC_WORD] < text_vaddr)
		return false;
	module->vaddr = vaddr;
	module->text_vaddr = text_vaddr;
	return true;
}

/* Since Go 1.26 the header does not say where the text is. */
static bool find_text(struct pclntab_table *table, const struct elf_file *file)
{
	if (table->version < PCLNTAB_1_18)
		return true;
	struct module module = {.table = table, .file = file};
	if (elf_image_find_pointer(table->image, table->vaddr, is_module, &module)) {
		table->module_vaddr = module.vaddr;
		table->text_vaddr = module.text_vaddr;
	}
	return is_code(file, table->text_vaddr);
}

/* Enough functions are sound for the table to be one. */
static bool is_plausible(const struct pclntab_table *table, const struct elf_file *file)
{
	uint32_t step = table->function_count / 64 + 1, good = 0, bad = 0;
	for (uint32_t i = 0; i < table->function_count; i += step) {
		struct pclntab_function function;
		bool is_good = pclntab_function_at(table, i, &function) &&
			       is_code(file, function.start_vaddr) &&
			       pclntab_string(&table->names, function.name_off);
		good += is_good;
		bad += !is_good;
	}
	return good > bad;
}

static int open_at(struct pclntab_table *table, const struct elf_file *file, uint64_t vaddr,
		   uint64_t len_bytes, struct err *err)
{
	int rc = load(table, vaddr, len_bytes, err);
	if (rc)
		return rc;
	if (!read_header(table))
		return err_set(err, -EBADMSG, "Go's function table has a header that is none");
	if (!find_text(table, file))
		return err_set(err, -EOPNOTSUPP,
			       "Go's function table without the place of its text");
	if (!is_plausible(table, file))
		return err_set(err, -EBADMSG, "Go's function table has no sound functions");
	return 0;
}

/* Try every place of a segment that could be a header. How far the table goes is not known: to
 * the end of its segment at the most. */
static int search_segment(struct pclntab_table *table, const struct elf_file *file,
			  const struct elf_segment *segment, char *chunk, struct err *err)
{
	int tries = 8; /* each loads a table */
	for (uint64_t off = -segment->vaddr & (TABLE_ALIGN_BYTES - 1);
	     segment->file_bytes > off + MAX_HEADER_BYTES;) {
		uint64_t left = segment->file_bytes - off;
		size_t len_bytes = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
		if (elf_image_read(table->image, segment->vaddr + off, chunk, len_bytes))
			break;
		for (size_t i = 0; i + 16 <= len_bytes; i += TABLE_ALIGN_BYTES) {
			struct reader r = reader_of(chunk + i, len_bytes - i);
			struct start start;
			if (!read_start(&r, &start))
				continue;
			uint64_t vaddr = segment->vaddr + off + i;
			uint64_t table_bytes = segment->file_bytes - off - i;
			if (table_bytes > MAX_TABLE_BYTES)
				table_bytes = MAX_TABLE_BYTES;
			if (!open_at(table, file, vaddr, table_bytes, err))
				return 0;
			if (!--tries)
				return err_set(err, -ENOENT, "no Go function table");
		}
		/* A header is not lost between two chunks. */
		off += len_bytes < CHUNK_BYTES ? len_bytes : CHUNK_BYTES - TABLE_ALIGN_BYTES;
	}
	return err_set(err, -ENOENT, "no Go function table");
}

static int search(struct pclntab_table *table, const struct elf_file *file, struct err *err)
{
	AUTO_MEM char *chunk = malloc(CHUNK_BYTES);
	if (!chunk)
		return err_set(err, -ENOMEM, "Go's function table: %m");
	size_t count;
	const struct elf_segment *segments = elf_file_segments(file, &count);
	int rc = -ENOENT;
	for (size_t i = 0; i < count && i < 16 && rc; i++)
		rc = search_segment(table, file, &segments[i], chunk, err);
	return rc ? err_set(err, -ENOENT, "no Go function table") : 0;
}

/* By its name; and where the system's linker made a position-independent program of Go's, or
 * section headers are stripped, by its magic number. Other programs are not searched. */
static int open_sections(struct pclntab_table *table, const struct elf_file *file,
			 const struct elf_sections *sections, struct err *err)
{
	const struct elf_section *section = elf_sections_find(sections, ".gopclntab");
	if (!section)
		section = elf_sections_find(sections, ".data.rel.ro.gopclntab");
	bool is_go = section || elf_sections_find(sections, ".go.buildinfo") ||
		     elf_sections_find(sections, ".note.go.buildid") || sections->count <= 1;
	if (!is_go)
		return err_set(err, -ENOENT, "no Go function table");
	int rc = elf_image_new(&table->image, file, err);
	if (rc)
		return rc;
	return section ? open_at(table, file, section->vaddr, section->size_bytes, err)
		       : search(table, file, err);
}

int pclntab_table_open(struct pclntab_table *table, const struct elf_file *file, struct err *err)
{
	*table = (struct pclntab_table){0};
	AUTO_FINI(elf_sections_fini) struct elf_sections sections = {0};
	if (!elf_file_sections(file, &sections, NULL))
		elf_sections_read_names(&sections, file);
	return open_sections(table, file, &sections, err);
}

static uint64_t read_place(const struct pclntab_table *table, struct reader *r)
{
	return place_bytes(table) == 4 ? table->text_vaddr + reader_u32(r) : reader_u64(r);
}

bool pclntab_function_at(const struct pclntab_table *table, uint32_t i,
			 struct pclntab_function *function)
{
	struct reader r = at(&table->index, (uint64_t)i * 2 * place_bytes(table));
	*function = (struct pclntab_function){.start_vaddr = read_place(table, &r)};
	uint64_t off = place_bytes(table) == 4 ? reader_u32(&r) : reader_u64(&r);
	function->end_vaddr = read_place(table, &r);
	if (r.bad || function->end_vaddr <= function->start_vaddr)
		return false;

	r = at(&table->functions, off);
	reader_skip(&r, place_bytes(table)); /* the place again */
	function->name_off = reader_u32(&r);
	reader_skip(&r, 4 + 4); /* args, deferreturn */
	function->sp_values = reader_u32(&r);
	function->file_values = reader_u32(&r);
	function->line_values = reader_u32(&r);
	function->pcdata_count = reader_u32(&r);
	if (table->version >= PCLNTAB_1_16)
		function->unit_off = reader_u32(&r);
	if (table->version >= PCLNTAB_1_20)
		reader_skip(&r, 4); /* startLine */
	reader_skip(&r, 1);         /* funcID */
	/* Zero before there were flags. */
	function->is_outermost = reader_u8(&r) & FLAG_TOP_OF_STACK;
	reader_skip(&r, 1);
	function->funcdata_count = reader_u8(&r);
	if (r.bad || function->pcdata_count > 255)
		return false;
	function->pcdata_off = (uint64_t)(r.pos - table->functions.data);
	function->funcdata_off = function->pcdata_off + 4 * (uint64_t)function->pcdata_count;
	/* Pointers are aligned, and the table is. */
	uint64_t base_off = (uint64_t)(table->functions.data - table->data);
	if (table->version < PCLNTAB_1_18)
		function->funcdata_off += -(base_off + function->funcdata_off) & 7;
	return true;
}

uint32_t pclntab_pcdata(const struct pclntab_table *table, const struct pclntab_function *function,
			uint32_t kind)
{
	if (kind >= function->pcdata_count)
		return 0;
	struct reader r = at(&table->functions, function->pcdata_off + 4 * (uint64_t)kind);
	return reader_u32(&r);
}

bool pclntab_funcdata(const struct pclntab_table *table, const struct pclntab_function *function,
		      uint32_t kind, uint64_t *place)
{
	if (kind >= function->funcdata_count)
		return false;
	bool is_pointer = table->version < PCLNTAB_1_18;
	struct reader r = at(&table->functions,
			     function->funcdata_off + (is_pointer ? 8 : 4) * (uint64_t)kind);
	*place = is_pointer ? reader_u64(&r) : reader_u32(&r);
	return !r.bad && *place != (is_pointer ? 0 : UINT32_MAX);
}

const char *pclntab_string(const struct pclntab_span *span, uint64_t off)
{
	if (off >= span->len_bytes)
		return NULL;
	size_t left = span->len_bytes - (size_t)off;
	const char *text = (const char *)span->data + off;
	size_t max = left < PCLNTAB_MAX_NAME_BYTES ? left : PCLNTAB_MAX_NAME_BYTES;
	return memchr(text, 0, max) ? text : NULL;
}

const char *pclntab_file(const struct pclntab_table *table, const struct pclntab_function *function,
			 int32_t number)
{
	if (number < 0)
		return NULL;
	if (table->version == PCLNTAB_1_2) {
		struct reader r = at(&table->files, 4 * (uint64_t)number);
		uint32_t off = reader_u32(&r);
		return r.bad || !off ? NULL : pclntab_string(&table->names, off);
	}
	struct reader r = at(&table->units, 4 * ((uint64_t)function->unit_off + (uint32_t)number));
	uint32_t off = reader_u32(&r);
	return r.bad || off == UINT32_MAX ? NULL : pclntab_string(&table->files, off);
}

struct pclntab_values pclntab_values_of(const struct pclntab_table *table,
					const struct pclntab_function *function, uint32_t off)
{
	struct pclntab_values values = {
		.r = at(&table->values, off),
		.end_vaddr = function->start_vaddr,
		.limit_vaddr = function->end_vaddr,
		.value = -1,
		.quantum = table->quantum,
		.is_first = true,
	};
	values.r.bad |= !off;
	return values;
}

bool pclntab_values_next(struct pclntab_values *values)
{
	values->start_vaddr = values->end_vaddr;
	for (int empty = 0; empty < MAX_EMPTY_STEPS && values->start_vaddr == values->end_vaddr &&
			    values->end_vaddr < values->limit_vaddr;
	     empty++) {
		uint32_t delta = (uint32_t)reader_varint(&values->r);
		if (values->r.bad || (!delta && !values->is_first))
			return false;
		values->is_first = false;
		values->value = (int32_t)((uint32_t)values->value + ((delta >> 1) ^ -(delta & 1)));
		uint64_t steps = reader_varint(&values->r) & UINT32_MAX;
		if (values->r.bad)
			return false;
		uint64_t left = values->limit_vaddr - values->end_vaddr;
		uint64_t bytes = steps * values->quantum;
		values->end_vaddr += bytes < left ? bytes : left;
	}
	return values->end_vaddr > values->start_vaddr;
}
