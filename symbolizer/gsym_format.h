/*
 * gsym_format: the numbers of GSYM files, version 1, and what Hearth adds to them.
 *
 *	header			48 bytes: magic, version, address offset size, UUID size, base
 *				address, function count, offset and size of the strings, UUID
 *	address offsets		1, 2, 4 or 8 bytes each, from the base address, ascending
 *	function offsets	4 bytes each, aligned to 4
 *	files			count, then two string offsets each; file 0 is "none"
 *	strings			each with its NUL; offset 0 is ""
 *	functions		aligned to 4: size, name, then blocks of {type, length, bytes}
 *	trailer			Hearth's, 32 bytes; LLVM's reader does not look there
 *
 * In a file with the trailer Hearth's own words stand before each function, where LLVM's reader
 * does not look; they are read backwards, beginning at the last:
 *
 *	flags			4 bytes, of enum gsym_flag
 *	line stops		if flagged: 4 bytes, their count
 *	call cells		if flagged: 4 bytes, length of the block of calls, so that nobody
 *				has to look there; then 4 bytes, count of groups << 8 | shift
 *	line stops		{code offset, byte offset, file, line}, 4 bytes each: the row
 *				there, and where in the block of lines the next begins
 *	call groups		for every GSYM_GROUP_CALLS calls 4 bytes, depth << 24 | byte
 *				offset: where in the block of calls the first one begins
 *	call cells		the code is cut into cells of 2^shift bytes: for each, and for the
 *				end, 2 bytes: its first entry
 *	group depths		for each group 1 byte: the lowest depth of its calls
 *	entries			1 byte each, or 2 if there are more than 256 groups: the groups
 *				that have code in the cell, ascending
 *	padding			to a multiple of 4
 *
 * https://github.com/llvm/llvm-project/blob/llvmorg-14.0.6/llvm/include/llvm/DebugInfo/GSYM/Header.h
 */
#pragma once

#define GSYM_MAGIC         0x4753594du /* "GSYM", the first letter in the highest byte */
#define GSYM_TRAILER_MAGIC "hearthgs"

enum {
	GSYM_VERSION = 1,
	GSYM_TRAILER_VERSION = 2,
	GSYM_HEADER_BYTES = 48,
	GSYM_UUID_MAX_BYTES = 20,
	/* magic, u32 version, u32 CRC-32 of all before the trailer, u32 sources (bit N: enum
	 * gsym_source N), u32 zero, u64 size of the file */
	GSYM_TRAILER_BYTES = 32,

	GSYM_BLOCK_HEAD_BYTES = 8,
	GSYM_BLOCK_END = 0,
	GSYM_BLOCK_LINES = 1,
	GSYM_BLOCK_INLINES = 2,

	GSYM_LINE_END = 0,
	GSYM_LINE_SET_FILE = 1,
	GSYM_LINE_ADVANCE_PC = 2, /* and emit a row */
	GSYM_LINE_ADVANCE_LINE = 3,
	GSYM_LINE_FIRST_SPECIAL = 4, /* advance both and emit a row */

	/* Lines that one byte can step over, as the writer chooses it; 16 bytes of code are left
	 * to it then, which covers most steps of x86. LLVM's choice too. */
	GSYM_LINE_SPAN = 15,

	/* A place to begin in the middle of the rows, every so many. Looking up an address walks
	 * over half of that; more stops cost more bytes. */
	GSYM_STOP_ROWS = 24,
	GSYM_LINE_STOP_BYTES = 16,

	GSYM_GROUP_CALLS = 4,
	GSYM_CALL_GROUP_BYTES = 4,
	GSYM_GROUP_DEPTH_SHIFT = 24,
	GSYM_GROUP_OFF_MASK = (1 << 24) - 1,

	/* LLVM's reader recurses once a level. */
	GSYM_MAX_DEPTH = 200,
};
