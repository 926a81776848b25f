#!/usr/bin/env bash
# make.sh DIRECTORY: a small table of Go's functions in each of its layouts, go2, go16, go18, go20
# and go26, as it is in memory at 0x10000: the table, a tree of inlined calls, moduledata.
#
# Text is at 0x1000. main.outer [0x1000,0x1040) in /src/a.go: line 10, and from 0x1010 to 0x1030
# line 20, which is main.inner called in line 10; in that from 0x1018 to 0x1020 line 30 of
# /src/b.go, which is main.leaf called in line 20. main.last [0x1040,0x1080): line 40, of 0x20 bytes.
# main.outer has a frame of 24 bytes from 0x1010 to 0x1038; main.last pushes 8 at 0x1048 and says no
# more from 0x1060 on; since go18 it has a flag: nobody calls it.
set -euo pipefail
exec python3 - "$1" <<'END'
import struct, sys

BASE, TEXT = 0x10000, 0x1000
NAMES = b"\0main.outer\0main.inner\0main.leaf\0main.last\0"
FILES = b"/src/a.go\0/src/b.go\0"

def name(text):
    return NAMES.index(text.encode() + b"\0")

def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7f | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))

def values(*rows):
    """Each value and how many bytes of code it is for."""
    out, before = b"", -1
    for value, length in rows:
        delta = value - before
        out += varint(delta << 1 if delta >= 0 else (-delta << 1) - 1) + varint(length)
        before = value
    return out + b"\0"

def pad(data, align=8):
    return data + bytes(-len(data) % align)

def tables(first_file):
    outer = (values((first_file, 0x18), (first_file + 1, 8), (first_file, 0x20)),
             values((10, 0x10), (20, 8), (30, 8), (20, 0x10), (10, 0x10)),
             values((-1, 0x10), (0, 8), (1, 8), (0, 0x10), (-1, 0x10)))
    last = (values((first_file, 0x20)), values((40, 0x20)))
    frames = (values((0, 0x10), (24, 0x28), (0, 8)), values((0, 8), (8, 0x18)))
    out, offs = b"\0", []
    for table in outer + last + frames:
        offs.append(len(out))
        out += table
    return out, offs

def tree(go, base=0):
    inner, leaf = base + name("main.inner"), base + name("main.leaf")
    if go >= 20:  # funcID, name, place of the call, first line
        return struct.pack("<IIIIIIII", 0, inner, 4, 1, 0, leaf, 0x10, 1)
    rows = ((-1, inner, 4), (0, leaf, 0x10))
    return b"".join(struct.pack("<hHiiiI", parent, 0, 0, 0, off, place)
                    for parent, off, place in rows)

def record(go, entry, name_off, frame, offs, pcdata, funcdata, flag, base):
    out = struct.pack("<I" if go >= 18 else "<Q", entry)
    out += struct.pack("<IIIIIII", name_off, 0, 0, frame, *offs, len(pcdata))
    if go >= 16:
        out += struct.pack("<I", 0)
    if go >= 20:
        out += struct.pack("<I", 1)
    out += bytes([0, flag, 0, len(funcdata)])
    out += b"".join(struct.pack("<I", off) for off in pcdata)
    if go < 18:
        out += bytes(-(base + len(out)) % 8)
    return out + b"".join(struct.pack("<I" if go >= 18 else "<Q", place) for place in funcdata)

def functions(go, base, name_base, value_base, offs, tree_place):
    """The index and the records, which lie at base."""
    wide = "<I" if go >= 18 else "<Q"
    size = struct.calcsize(wide)
    starts = [0, 0x40, 0x80] if go >= 18 else [TEXT, TEXT + 0x40, TEXT + 0x80]
    index_bytes = (5 * size + 4 + 7) // 8 * 8
    none = 0xffffffff if go >= 18 else 0
    kind = 3 if go >= 16 else 4
    offs = [value_base + off for off in offs]
    first = record(go, starts[0], name_base + name("main.outer"), offs[5], offs[:2], [0, 0, offs[2]],
                   [none] * kind + [tree_place], 0, base + index_bytes)
    first = pad(first)
    second = record(go, starts[1], name_base + name("main.last"), offs[6], offs[3:5], [], [], go >= 18,
                    base + index_bytes + len(first))
    record_offs = [index_bytes, index_bytes + len(first)]
    return starts, record_offs, index_bytes, pad(first) + pad(second)

def old_table(go):
    head = struct.pack("<IHBBQ", 0xfffffffb, 0, 1, 8, 2)
    pcs, offs = tables(1)
    def layout(name_base, value_base, file_base, tree_vaddr):
        starts, record_offs, index_bytes, records = functions(
            go, len(head), name_base, value_base, offs, tree_vaddr)
        out = head
        for start, off in zip(starts, record_offs):
            out += struct.pack("<QQ", start, off + len(head))
        out += struct.pack("<QI", starts[2], file_base)
        out = out.ljust(len(head) + index_bytes, b"\0") + records
        name_at = len(out)
        out = pad(out + NAMES)
        value_at = len(out)
        out = pad(out + pcs)
        path_at = len(out)
        out = pad(out + FILES)
        file_at = len(out)
        out = pad(out + struct.pack("<III", 3, path_at, path_at + FILES.index(b"/src/b")))
        return out, (name_at, value_at, file_at)
    _, places = layout(0, 0, 0, 0)
    size = len(layout(0, 0, 0, 0)[0])
    return layout(*places, BASE + size)[0] + tree(go, places[0])

def new_table(go):
    magic = 0xfffffffa if go < 18 else 0xfffffff0 if go < 20 else 0xfffffff1
    head_bytes = 64 if go < 18 else 72
    pcs, offs = tables(0)
    units = struct.pack("<II", 0, FILES.index(b"/src/b"))
    parts = [pad(NAMES), pad(units), pad(FILES), pad(pcs)]
    places, at = [], head_bytes
    for part in parts + [b""]:
        places.append(at)
        at += len(part)
    def layout(tree_place):
        starts, record_offs, index_bytes, records = functions(
            go, places[4], 0, 0, offs, tree_place)
        wide = "<II" if go >= 18 else "<QQ"
        index = b"".join(struct.pack(wide, *row) for row in zip(starts, record_offs))
        index += struct.pack(wide[:2], starts[2])
        head = struct.pack("<IHBBQQ", magic, 0, 1, 8, 2, 2)
        if go >= 18:
            head += struct.pack("<Q", 0 if go >= 26 else TEXT)
        head += struct.pack("<QQQQQ", *places)
        return head.ljust(head_bytes, b"\0") + b"".join(parts) + index.ljust(
            index_bytes, b"\0") + records
    size = len(layout(0))
    table = layout(0 if go >= 18 else BASE + size) + tree(go)
    if go < 18:
        return table
    module = [0] * 64
    module[0], module[1], module[20], module[22] = BASE, BASE + places[0], TEXT, TEXT
    module[38 if go < 20 else 42 if go >= 26 else 40] = BASE + size
    return pad(table) + struct.pack("<64Q", *module)

for go in (2, 16, 18, 20, 26):
    with open(f"{sys.argv[1]}/go{go}", "wb") as out:
        out.write(old_table(go) if go < 16 else new_table(go))
END
