#include "symbolizer/rust_name.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/reader.h"
#include "base/sat.h"

enum { MAX_DEPTH = 1024 }; /* libiberty's limit, too */

struct name {
	struct reader r;
	unsigned int depth;
	uint64_t lifetimes;
};

static char peek(const struct reader *r)
{
	return reader_left_bytes(r) ? (char)*r->pos : 0;
}

static bool eat(struct reader *r, char wanted)
{
	bool is_there = peek(r) == wanted;
	if (is_there)
		reader_skip(r, 1);
	return is_there;
}

static uint64_t digit_62(struct reader *r)
{
	char digit = (char)reader_u8(r);
	if (isdigit((unsigned char)digit))
		return (uint64_t)(digit - '0');
	r->bad |= !isalpha((unsigned char)digit);
	return (uint64_t)(islower((unsigned char)digit) ? digit - 'a' + 10 : digit - 'A' + 36);
}

/* "_" is 0, "0_" is 1, "Z_" is 62, "10_" is 63. Too large: UINT64_MAX. */
static uint64_t read_number(struct reader *r)
{
	uint64_t value = 0;
	if (eat(r, '_'))
		return 0;
	while (!r->bad && !eat(r, '_')) {
		if (__builtin_mul_overflow(value, 62, &value))
			value = UINT64_MAX;
		value = sat_add_u64(value, digit_62(r));
	}
	return sat_add_u64(value, 1);
}

static void skip_disambiguator(struct reader *r)
{
	if (eat(r, 's'))
		(void)read_number(r);
}

static void skip_identifier(struct reader *r)
{
	(void)eat(r, 'u'); /* Punycode */
	if (!isdigit((unsigned char)peek(r)))
		r->bad = true;
	size_t len_bytes = 0;
	if (!eat(r, '0'))
		while (isdigit((unsigned char)peek(r)) && len_bytes <= reader_left_bytes(r))
			len_bytes = len_bytes * 10 + (size_t)(reader_u8(r) - '0');
	(void)eat(r, '_');
	reader_skip(r, len_bytes);
}

static void skip_type(struct name *name);

static void skip_const(struct reader *r)
{
	char type = (char)reader_u8(r);
	if (type == 'B') {
		(void)read_number(r);
		return;
	}
	if (type == 'p')
		return;
	r->bad |= !islower((unsigned char)type);
	(void)eat(r, 'n'); /* negative */
	while (isxdigit((unsigned char)peek(r)))
		reader_skip(r, 1);
	r->bad |= !eat(r, '_');
}

static void skip_generic(struct name *name)
{
	if (eat(&name->r, 'L'))
		(void)read_number(&name->r);
	else if (eat(&name->r, 'K'))
		skip_const(&name->r);
	else
		skip_type(name);
}

static void skip_to_end(struct name *name, void (*skip)(struct name *))
{
	while (!name->r.bad && !eat(&name->r, 'E'))
		skip(name);
}

static void skip_path_of(struct name *name, char kind);

static void skip_path(struct name *name)
{
	if (++name->depth > MAX_DEPTH)
		name->r.bad = true;
	else
		skip_path_of(name, (char)reader_u8(&name->r));
	name->depth--;
}

static void skip_path_of(struct name *name, char kind)
{
	struct reader *r = &name->r;
	if (kind == 'N')
		reader_skip(r, 1); /* the name space */
	if (kind == 'M' || kind == 'X')
		skip_disambiguator(r);
	if (kind == 'N' || kind == 'M' || kind == 'X' || kind == 'I')
		skip_path(name);
	if (kind == 'M' || kind == 'X' || kind == 'Y')
		skip_type(name);
	if (kind == 'X' || kind == 'Y')
		skip_path(name);
	if (kind == 'I')
		skip_to_end(name, skip_generic);
	if (kind == 'B')
		(void)read_number(r);
	if (kind == 'N' || kind == 'C') {
		skip_disambiguator(r);
		skip_identifier(r);
	}
	r->bad |= !kind || !strchr("NMXYIBC", kind);
}

static void read_binder(struct name *name)
{
	if (eat(&name->r, 'G'))
		name->lifetimes =
			sat_add_u64(name->lifetimes, sat_add_u64(read_number(&name->r), 1));
}

static void skip_function(struct name *name)
{
	struct reader *r = &name->r;
	read_binder(name);
	(void)eat(r, 'U'); /* unsafe */
	if (eat(r, 'K') && !eat(r, 'C'))
		skip_identifier(r);
	skip_to_end(name, skip_type);
	skip_type(name);
}

static void skip_trait(struct name *name)
{
	skip_path(name);
	while (eat(&name->r, 'p')) {
		skip_identifier(&name->r);
		skip_type(name);
	}
}

static void skip_dyn(struct name *name)
{
	read_binder(name);
	skip_to_end(name, skip_trait);
	name->r.bad |= !eat(&name->r, 'L');
	(void)read_number(&name->r);
}

static void skip_type_of(struct name *name)
{
	struct reader *r = &name->r;
	char kind = peek(r);
	if (!kind || !strchr("ASPORQTFD", kind)) {
		if (islower((unsigned char)kind)) /* i32, bool, ... */
			reader_skip(r, 1);
		else
			skip_path(name);
		return;
	}
	reader_skip(r, 1);
	if ((kind == 'R' || kind == 'Q') && eat(r, 'L'))
		(void)read_number(r);
	if (kind == 'F')
		skip_function(name);
	else if (kind == 'D')
		skip_dyn(name);
	else if (kind == 'T')
		skip_to_end(name, skip_type);
	else
		skip_type(name);
	if (kind == 'A')
		skip_const(r);
}

static void skip_type(struct name *name)
{
	if (++name->depth > MAX_DEPTH)
		name->r.bad = true;
	else
		skip_type_of(name);
	name->depth--;
}

uint64_t rust_name_lifetimes(const char *mangled)
{
	if (strncmp(mangled, "_R", 2) != 0)
		return UINT64_MAX;
	const char *text = mangled + 2;
	/* What the compiler's back end adds begins with a dot. */
	struct name name = {.r = reader_of(text, strcspn(text, "."))};
	skip_path(&name);
	if (reader_left_bytes(&name.r)) /* the crate that made this copy */
		skip_path(&name);
	return name.r.bad || reader_left_bytes(&name.r) ? UINT64_MAX : name.lifetimes;
}
