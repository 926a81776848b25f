/*
 * utf8: text from strangers' files may be any bytes; what goes out should be UTF-8.
 */
#pragma once
#include <stddef.h>

#include "base/buf.h"

/* U+FFFD, which stands for each byte that is not part of valid UTF-8. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* Length of the valid sequence at the start of a NUL-terminated text, or 0: no overlong
 * forms, no surrogates, nothing past U+10FFFF (RFC 3629 section 4). */
size_t utf8_len(const char *text);

/* Append text with what is not valid replaced. */
void utf8_append(struct buf *out, const char *text);
