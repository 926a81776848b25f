/*
 * proto_text: protobuf messages for tests, written by hand as text, so that what a codec reads
 * was not written by that codec.
 *
 *	5:7	field 5, varint 7		5{...}	field 5, a message
 *	5"abc"	field 5, bytes abc		5[1,2]	field 5, packed varints
 *	5#7	field 5, fixed64 7		5%7	field 5, fixed32 7
 *	!	a group's start: a wire type that nobody may use
 */
#pragma once
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { PROTO_TEXT_MAX_BYTES = 1 << 20 };

static inline void proto_text_tag(struct buf *out, uint64_t field, unsigned wire_type)
{
	buf_append_varint(out, field << 3 | wire_type);
}

static inline const char *proto_text_packed(struct buf *out, const char *text)
{
	char *end = NULL;
	for (; *text != ']'; text = *end == ',' ? end + 1 : end)
		buf_append_varint(out, (uint64_t)strtoll(text, &end, 10));
	return text + 1;
}

static inline void proto_text_sub(struct buf *out, uint64_t field, struct buf *sub)
{
	proto_text_tag(out, field, 2);
	buf_append_varint(out, sub->len_bytes);
	buf_append(out, sub->data, sub->len_bytes);
	buf_fini(sub);
}

/* Appends the message to out; returns where it ended: at the text's end or a '}'. */
static inline const char *proto_text(struct buf *out, const char *text)
{
	for (text += strspn(text, " \n"); *text && *text != '}'; text += strspn(text, " \n")) {
		char *at = NULL;
		uint64_t field = strtoull(text, &at, 10);
		struct buf sub;
		buf_init(&sub, PROTO_TEXT_MAX_BYTES);
		text = at + 1;
		switch (*at) {
		case ':':
			proto_text_tag(out, field, 0);
			buf_append_varint(out, (uint64_t)strtoll(text, &at, 10));
			text = at;
			break;
		case '#':
			proto_text_tag(out, field, 1);
			buf_append_u64le(out, strtoull(text, &at, 10));
			text = at;
			break;
		case '%':
			proto_text_tag(out, field, 5);
			buf_append_u32le(out, (uint32_t)strtoul(text, &at, 10));
			text = at;
			break;
		case '"':
			at = strchr(text, '"');
			buf_append(&sub, text, (size_t)(at - text));
			proto_text_sub(out, field, &sub);
			text = at + 1;
			break;
		case '{':
			text = proto_text(&sub, text) + 1;
			proto_text_sub(out, field, &sub);
			break;
		case '[':
			text = proto_text_packed(&sub, text);
			proto_text_sub(out, field, &sub);
			break;
		default:
			proto_text_tag(out, 1, 3);
			break;
		}
	}
	return text;
}
