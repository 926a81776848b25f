#include "storage/column.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/hash.h"
#include "base/reader.h"

enum coding { COLUMN_DICTIONARY = 1, COLUMN_PLAIN = 2, COLUMN_ASCENDING = 3 };
enum packing { PACKED_RAW = 0, PACKED_ZSTD = 1 };

enum {
	/* Level 3 is within 4 % of level 9's size on stack columns at four times the speed. */
	ZSTD_LEVEL = 3,
	SLOTS = 2 * COLUMN_MAX_VALUES, /* of the hash table of distinct values */
	MAX_VARINT_BYTES = 10,
	/* Nothing that column_encode() writes is longer: a dictionary of as many values. */
	MAX_BODY_BYTES = COLUMN_MAX_VALUES * (MAX_VARINT_BYTES + 2) + MAX_VARINT_BYTES,
};

struct column_codec {
	ZSTD_CCtx *compress;
	ZSTD_DCtx *decompress;
	struct buf body;
	struct buf packed;
	uint64_t *distinct; /* COLUMN_MAX_VALUES */
	uint64_t *deltas;   /* COLUMN_MAX_VALUES */
	uint32_t *slots;    /* SLOTS: position in distinct + 1, or 0 */
};

int column_codec_new(struct column_codec **out)
{
	AUTO(column_codec) codec = calloc(1, sizeof(*codec));
	if (!codec)
		return -ENOMEM;
	buf_init(&codec->body, MAX_BODY_BYTES);
	buf_init(&codec->packed, ZSTD_COMPRESSBOUND(MAX_BODY_BYTES));
	codec->compress = ZSTD_createCCtx();
	codec->decompress = ZSTD_createDCtx();
	codec->distinct = malloc(COLUMN_MAX_VALUES * sizeof(uint64_t));
	codec->deltas = malloc(COLUMN_MAX_VALUES * sizeof(uint64_t));
	codec->slots = malloc(SLOTS * sizeof(uint32_t));
	if (!codec->compress || !codec->decompress || !codec->distinct || !codec->deltas ||
	    !codec->slots)
		return -ENOMEM;
	ZSTD_CCtx_setParameter(codec->compress, ZSTD_c_compressionLevel, ZSTD_LEVEL);
	ZSTD_CCtx_setParameter(codec->compress, ZSTD_c_checksumFlag, 1);
	*out = TAKE(codec);
	return 0;
}

void column_codec_free(struct column_codec *codec)
{
	if (!codec)
		return;
	ZSTD_freeCCtx(codec->compress);
	ZSTD_freeDCtx(codec->decompress);
	buf_fini(&codec->body);
	buf_fini(&codec->packed);
	free(codec->distinct);
	free(codec->deltas);
	free(codec->slots);
	free(codec);
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a;
	uint64_t right = *(const uint64_t *)b;
	return (left > right) - (left < right);
}

/* The smallest power of two of slots that stays half empty. */
static size_t slot_count_for(size_t count)
{
	size_t slots = 16;
	while (slots < 2 * count)
		slots *= 2;
	return slots;
}

/* The slot that holds value, or the free one where it belongs. */
static uint32_t *slot_of(struct column_codec *codec, uint64_t value, size_t mask)
{
	size_t slot = hash_u64(value) & mask;
	while (codec->slots[slot] && codec->distinct[codec->slots[slot] - 1] != value)
		slot = (slot + 1) & mask;
	return &codec->slots[slot];
}

/* Collects the distinct values, ascending, and how to find each. Stops past `most`: 0. */
static size_t find_distinct(struct column_codec *codec, const uint64_t *values, size_t count,
			    size_t most)
{
	size_t slots = slot_count_for(count);
	size_t found = 0;
	memset(codec->slots, 0, slots * sizeof(uint32_t));
	for (size_t i = 0; i < count; i++) {
		uint32_t *slot = slot_of(codec, values[i], slots - 1);
		if (*slot)
			continue;
		if (found == most)
			return 0;
		codec->distinct[found++] = values[i];
		*slot = (uint32_t)found;
	}
	qsort(codec->distinct, found, sizeof(uint64_t), compare_u64);
	memset(codec->slots, 0, slots * sizeof(uint32_t));
	for (size_t i = 0; i < found; i++)
		*slot_of(codec, codec->distinct[i], slots - 1) = (uint32_t)i + 1;
	return found;
}

static unsigned int index_width(size_t distinct)
{
	return distinct <= 1 ? 0 : distinct <= 256 ? 1 : 2;
}

static void put_dictionary(struct column_codec *codec, const uint64_t *values, size_t count,
			   size_t distinct)
{
	uint64_t before = 0;
	buf_append_varint(&codec->body, distinct);
	for (size_t i = 0; i < distinct; i++) {
		buf_append_varint(&codec->body, codec->distinct[i] - before);
		before = codec->distinct[i];
	}
	unsigned int width = index_width(distinct);
	uint8_t *low = buf_extend(&codec->body, width * count);
	size_t mask = slot_count_for(count) - 1;
	for (size_t i = 0; width && low && i < count; i++) {
		uint32_t index = *slot_of(codec, values[i], mask) - 1;
		low[i] = (uint8_t)index;
		if (width == 2)
			low[count + i] = (uint8_t)(index >> 8);
	}
}

static void put_planes(struct column_codec *codec, const uint64_t *values, size_t count)
{
	uint64_t any = 0;
	for (size_t i = 0; i < count; i++)
		any |= values[i];
	uint8_t width = 0;
	while (width < 8 && any >> (8 * width))
		width++;
	buf_append_u8(&codec->body, width);
	uint8_t *plane = buf_extend(&codec->body, width * count);
	for (unsigned int byte = 0; plane && byte < width; byte++, plane += count)
		for (size_t i = 0; i < count; i++)
			plane[i] = (uint8_t)(values[i] >> (8 * byte));
}

static enum coding put_body(struct column_codec *codec, const uint64_t *values, size_t count,
			    enum column_order order)
{
	buf_clear(&codec->body);
	if (order == COLUMN_RISES) {
		for (size_t i = 0; i < count; i++)
			codec->deltas[i] = i ? values[i] - values[i - 1] : values[i];
		put_planes(codec, codec->deltas, count);
		return COLUMN_ASCENDING;
	}
	/* With few repeats a dictionary only adds its index. */
	size_t distinct = find_distinct(codec, values, count, count / 2 + 8);
	if (!distinct) {
		put_planes(codec, values, count);
		return COLUMN_PLAIN;
	}
	put_dictionary(codec, values, count, distinct);
	return COLUMN_DICTIONARY;
}

int column_encode(struct column_codec *codec, const uint64_t *values, size_t count,
		  enum column_order order, struct buf *out)
{
	if (count > COLUMN_MAX_VALUES)
		return -ENOSPC;
	enum coding coding = put_body(codec, values, count, order);
	const struct buf *body = &codec->body;
	if (buf_error(body))
		return buf_error(body);
	buf_clear(&codec->packed);
	void *room = buf_extend(&codec->packed, ZSTD_compressBound(body->len_bytes));
	if (!room)
		return buf_error(&codec->packed);
	size_t packed_bytes = ZSTD_compress2(codec->compress, room, codec->packed.len_bytes,
					     body->data, body->len_bytes);
	bool packs = !ZSTD_isError(packed_bytes) && packed_bytes < body->len_bytes;
	buf_append_u8(out, (uint8_t)coding);
	buf_append_u8(out, packs ? PACKED_ZSTD : PACKED_RAW);
	buf_append(out, packs ? room : body->data, packs ? packed_bytes : body->len_bytes);
	return buf_error(out);
}

/* The body of a column, unpacked when it must be; borrowed from data or the codec. */
static int unpack(struct column_codec *codec, struct reader *r)
{
	uint8_t packing = reader_u8(r);
	if (r->bad || packing > PACKED_ZSTD)
		return -EBADMSG;
	if (packing == PACKED_RAW)
		return 0;
	size_t packed_bytes = reader_left_bytes(r);
	unsigned long long bytes = ZSTD_getFrameContentSize(r->pos, packed_bytes);
	if (bytes > MAX_BODY_BYTES) /* the two error codes are larger, too */
		return -EBADMSG;
	buf_clear(&codec->body);
	void *room = buf_extend(&codec->body, bytes);
	if (!room)
		return buf_error(&codec->body);
	size_t got = ZSTD_decompressDCtx(codec->decompress, room, bytes, r->pos, packed_bytes);
	if (got != bytes)
		return -EBADMSG;
	*r = reader_of(room, bytes);
	return 0;
}

static int get_dictionary(struct column_codec *codec, struct reader *r, uint64_t *values,
			  size_t count)
{
	uint64_t distinct = reader_varint(r);
	if (r->bad || distinct > count)
		return -EBADMSG;
	uint64_t value = 0;
	for (size_t i = 0; i < distinct; i++) {
		value += reader_varint(r);
		codec->distinct[i] = value;
	}
	unsigned int width = index_width(distinct);
	const uint8_t *low = reader_bytes(r, width * count);
	if (r->bad || reader_left_bytes(r) || (count && !distinct))
		return -EBADMSG;
	/* The greatest index is checked once, so that the loops need not branch. */
	uint32_t greatest = 0;
	for (size_t i = 0; width && i < count; i++) {
		uint32_t index = width == 2 ? low[i] | (uint32_t)low[count + i] << 8 : low[i];
		greatest = index > greatest ? index : greatest;
	}
	if (count && greatest >= distinct)
		return -EBADMSG;
	if (width == 0)
		for (size_t i = 0; i < count; i++)
			values[i] = codec->distinct[0];
	else if (width == 1)
		for (size_t i = 0; i < count; i++)
			values[i] = codec->distinct[low[i]];
	else
		for (size_t i = 0; i < count; i++)
			values[i] = codec->distinct[low[i] | (uint32_t)low[count + i] << 8];
	return 0;
}

static int get_planes(struct reader *r, uint64_t *values, size_t count)
{
	uint8_t width = reader_u8(r);
	if (r->bad || width > 8)
		return -EBADMSG;
	const uint8_t *plane = reader_bytes(r, width * count);
	if (r->bad || reader_left_bytes(r))
		return -EBADMSG;
	memset(values, 0, count * sizeof(*values));
	for (unsigned int byte = 0; byte < width; byte++, plane += count)
		for (size_t i = 0; i < count; i++)
			values[i] |= (uint64_t)plane[i] << (8 * byte);
	return 0;
}

int column_decode(struct column_codec *codec, const void *data, size_t len_bytes, uint64_t *values,
		  size_t count)
{
	struct reader r = reader_of(data, len_bytes);
	uint8_t coding = reader_u8(&r);
	if (r.bad || count > COLUMN_MAX_VALUES)
		return -EBADMSG;
	int rc = unpack(codec, &r);
	if (rc)
		return rc;
	if (coding == COLUMN_DICTIONARY)
		return get_dictionary(codec, &r, values, count);
	if (coding != COLUMN_PLAIN && coding != COLUMN_ASCENDING)
		return -EBADMSG;
	rc = get_planes(&r, values, count);
	for (size_t i = 1; !rc && coding == COLUMN_ASCENDING && i < count; i++)
		values[i] += values[i - 1];
	return rc;
}
