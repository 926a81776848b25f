#!/usr/bin/env bash
# make.sh DIRECTORY: small files to begin fuzzing with, made from source: ELF files with DWARF of
# every version, and the sections of a split program as fuzz_dwarf.c lists them. The same bytes
# each time: no name of a folder gets into them.
set -euo pipefail
out=$(readlink -f "$1")
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >x.cc <<'END'
int outside(int);
namespace { namespace deep { struct type { int run(int x) { return outside(x) + 1; } }; } }
static inline int twice(int x) { deep::type t; return t.run(x) + t.run(x + 1); }
int plain(int x) { auto f = [x](int y) { return twice(y) + x; }; return x ? f(x) * twice(3) : 0; }
__attribute__((cold)) int unlikely(int x) { return twice(x); }
int rarely(int x) { if (__builtin_expect(x > 3, 0)) return unlikely(x) + outside(4); return x; }
END
here="-fdebug-prefix-map=$dir=/src"
link="-shared -nostdlib -fPIC -Wl,-z,noseparate-code -Wl,-z,max-page-size=16"
for options in "-gdwarf-2 -gstrict-dwarf" -gdwarf-3 -gdwarf-4 -gdwarf-5 "-gdwarf-5 -gdwarf64" \
	"-gdwarf-4 -fdebug-types-section" "-gdwarf-5 -gz=zlib" "-gdwarf-4 -gz=zlib-gnu" \
	"-gdwarf-5 -ffunction-sections -Wl,--gc-sections"; do
	# shellcheck disable=SC2086
	g++ -O2 $here $options $link -o "$out/x$(tr -d ' =,' <<<"$options")" x.cc
done

# put WHICH FILE SECTION OUT: one section of a scene
put()
{
	objcopy -O binary --only-section="$3" --set-section-flags "$3=alloc" "$2" part \
		2>/dev/null || return 0
	[ -s part ] || return 0
	local len
	len=$(stat -c %s part)
	# shellcheck disable=SC2059
	printf "\\x$1\\x$(printf %02x $((len & 255)))\\x$(printf %02x $((len >> 8)))" >>"$4"
	cat part >>"$4"
}

main=(info abbrev line line_str str str_offsets addr ranges rnglists)
split=(info abbrev line str str_offsets rnglists)
for version in 4 5; do
	# shellcheck disable=SC2086
	g++ -O2 $here -gdwarf-$version -gsplit-dwarf -c -fPIC -o s.o x.cc
	# shellcheck disable=SC2086
	g++ $link -Wl,-Ttext=0x1200 -o s s.o
	for i in "${!main[@]}"; do put "0$i" s ".debug_${main[i]}" "$out/split$version"; done
	for i in "${!split[@]}"; do
		put "2$i" s.dwo ".debug_${split[i]}.dwo" "$out/split$version"
	done
done
