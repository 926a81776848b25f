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
 * In a file with the trailer each function is followed by Hearth's own words, right behind the
 * block of type 0 that ends it for LLVM, all of 4 bytes and perhaps not aligned:
 *
 *	flags			of enum gsym_flag
 *	line stops		if flagged: count, then {code offset, byte offset, file, line}:
 *				the row there, and where in the block of lines the next begins
 *	call stops		if flagged: count of stops, count of bases, then for each stop
 *				{lowest, highest code offset + 1, byte offset, depth, first base}:
 *				where in the block of calls the next GSYM_STOP_CALLS calls begin,
 *				and what code they cover; then the bases, code offsets: of
 *				{1 .. depth} for each stop, what ranges there are relative to
 *
 * https://github.com/llvm/llvm-project/blob/llvmorg-14.0.6/llvm/include/llvm/DebugInfo/GSYM/Header.h
 */
#pragma once

#define GSYM_MAGIC         0x4753594du /* "GSYM", the first letter in the highest byte */
#define GSYM_TRAILER_MAGIC "hearthgs"

enum {
	GSYM_VERSION = 1,
	GSYM_TRAILER_VERSION = 1,
	GSYM_HEADER_BYTES = 48,
	GSYM_UUID_MAX_BYTES = 20,
	/* magic, u32 version, u32 CRC-32 of all before the trailer, u32 sources (bit N: enum
	 * gsym_source N), u32 zero, u64 size of the file */
	GSYM_TRAILER_BYTES = 32,

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

	/* A place to begin in the middle, every so many rows and calls. Looking up an address
	 * walks over half as many rows and about twice as many calls; more stops cost more
	 * bytes, an eighth of what they are for. */
	GSYM_STOP_ROWS = 48,
	GSYM_STOP_CALLS = 16,
	GSYM_LINE_STOP_BYTES = 16,
	GSYM_CALL_STOP_BYTES = 20,

	/* LLVM's reader recurses once a level. */
	GSYM_MAX_DEPTH = 200,
};
