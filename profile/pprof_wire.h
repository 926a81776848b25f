/*
 * pprof_wire: what both directions of the pprof codec know about the bytes of a Profile.
 * Wire types: https://protobuf.dev/programming-guides/encoding/#structure
 */
#pragma once
#include <stddef.h>

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* Fields of Profile that are written and read one element at a time. */
enum pprof_field {
	PPROF_SAMPLE = 2,
	PPROF_MAPPING = 3,
	PPROF_LOCATION = 4,
	PPROF_FUNCTION = 5,
	PPROF_STRING_TABLE = 6,
};

#define PPROF_MAX_BYTES ((size_t)1 << 30) /* of a message, unpacked */

enum { PPROF_MAX_UNNAMED_BYTES = 1024, PPROF_MAX_LABELS = 1024 };
