#include "symbolizer/eh_pointer.h"

bool eh_pointer_is_known(const struct eh_section *section, uint8_t encoding)
{
	if (encoding & EH_POINTER_INDIRECT) /* EH_POINTER_OMIT too */
		return false;
	switch (encoding & EH_POINTER_FORM) {
	case EH_POINTER_ABSPTR:
	case EH_POINTER_ULEB128:
	case EH_POINTER_UDATA2:
	case EH_POINTER_UDATA4:
	case EH_POINTER_UDATA8:
	case EH_POINTER_SIGNED:
	case EH_POINTER_SLEB128:
	case EH_POINTER_SDATA2:
	case EH_POINTER_SDATA4:
	case EH_POINTER_SDATA8:
		break;
	default:
		return false;
	}
	switch (encoding & EH_POINTER_RELATIVE) {
	case 0:
	case EH_POINTER_PCREL:
	case EH_POINTER_ALIGNED:
		return true;
	case EH_POINTER_DATAREL:
		return section->data_vaddr != 0;
	default:
		return false;
	}
}

static uint64_t read_form(uint8_t encoding, struct reader *r)
{
	switch (encoding & EH_POINTER_FORM) {
	case EH_POINTER_ABSPTR:
	case EH_POINTER_SIGNED:
	case EH_POINTER_UDATA8:
	case EH_POINTER_SDATA8:
		return reader_u64(r);
	case EH_POINTER_ULEB128:
		return reader_varint(r);
	case EH_POINTER_SLEB128:
		return (uint64_t)reader_sleb(r);
	case EH_POINTER_UDATA2:
		return reader_u16(r);
	case EH_POINTER_SDATA2:
		return (uint64_t)(int64_t)(int16_t)reader_u16(r);
	case EH_POINTER_UDATA4:
		return reader_u32(r);
	case EH_POINTER_SDATA4:
		return (uint64_t)(int64_t)(int32_t)reader_u32(r);
	default:
		r->bad = true;
		return 0;
	}
}

uint64_t eh_pointer_read(const struct eh_section *section, uint8_t encoding, struct reader *r)
{
	if (encoding == EH_POINTER_OMIT || r->bad)
		return 0;
	uint64_t vaddr = section->vaddr + (uint64_t)(r->pos - section->data);
	if ((encoding & EH_POINTER_RELATIVE) == EH_POINTER_ALIGNED)
		reader_skip(r, (size_t)(-vaddr & 7));
	uint64_t value = read_form(encoding, r);
	if (r->bad || !value)
		return 0;
	if ((encoding & EH_POINTER_RELATIVE) == EH_POINTER_PCREL)
		value += vaddr;
	else if ((encoding & EH_POINTER_RELATIVE) == EH_POINTER_DATAREL)
		value += section->data_vaddr;
	return value;
}
