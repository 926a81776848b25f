#!/bin/sh
# embed_assets.sh DIST OUT: every file under DIST, gzipped, as OUT/assets.S (the bytes) and
# OUT/assets.c (the table of web/assets.h). Same files, same output.
set -eu
dist=$1
out=$2

content_type() {
	case $1 in
	*.html) echo 'text/html; charset=utf-8' ;;
	*.js | *.mjs) echo 'text/javascript; charset=utf-8' ;;
	*.css) echo 'text/css; charset=utf-8' ;;
	*.json | *.map) echo 'application/json' ;;
	*.webmanifest) echo 'application/manifest+json' ;;
	*.svg) echo 'image/svg+xml' ;;
	*.png) echo 'image/png' ;;
	*.ico) echo 'image/x-icon' ;;
	*.woff2) echo 'font/woff2' ;;
	*.txt) echo 'text/plain; charset=utf-8' ;;
	*) echo 'application/octet-stream' ;;
	esac
}

mkdir -p "$out"
rm -f "$out"/*.gz
(cd "$dist" && find . -type f | sed 's|^\./||' | LC_ALL=C sort) >"$out/files"
if grep -q '[^A-Za-z0-9._/-]' "$out/files"; then
	echo "embed_assets.sh: a file name in $dist needs quoting" >&2
	exit 1
fi

externs=
rows=
: >"$out/assets.S.new"
i=0
while read -r file; do
	gzip -9nc "$dist/$file" >"$out/$i.gz"
	hash=$(sha256sum <"$dist/$file" | cut -c1-32)
	cat >>"$out/assets.S.new" <<-END
		.section .rodata
		.global asset_$i, asset_${i}_end
		asset_$i: .incbin "$out/$i.gz"
		asset_${i}_end:
	END
	externs="${externs}extern const uint8_t asset_$i[], asset_${i}_end[];
"
	rows="$rows	{\"/$file\", \"$(content_type "$file")\", \"$hash\", asset_$i, asset_${i}_end},
"
	i=$((i + 1))
done <"$out/files"
echo '.section .note.GNU-stack,"",%progbits' >>"$out/assets.S.new"

{
	echo '/* Made by cmake/embed_assets.sh. */'
	echo '#include "web/assets.h"'
	echo
	printf '%s' "$externs"
	if [ "$i" -gt 0 ]; then
		printf 'static const struct asset assets[] = {\n%s};\n' "$rows"
		echo "const struct asset_table embedded_assets = {assets, $i};"
	else
		echo 'const struct asset_table embedded_assets = {0};'
	fi
} >"$out/assets.c.new"
mv "$out/assets.S.new" "$out/assets.S"
mv "$out/assets.c.new" "$out/assets.c"
