#!/bin/sh
# fuzz.sh SECONDS [TARGET...]: runs the fuzz targets of tests/fuzz (all, or those named) under libFuzzer
# with AddressSanitizer and UBSan, each for so many seconds from its corpus.  New inputs go to
# build/fuzz/corpus/TARGET, findings to build/fuzz/found/; it fails when there is one.
set -eu
cd "$(dirname "$0")/.."
[ $# -ge 1 ] || { sed -n '2,4s/^# //p' "$0" >&2; exit 2; }
seconds=$1
shift

export CC=clang
[ -f build/fuzz/build.ninja ] ||
	meson setup build/fuzz -Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
[ $# -gt 0 ] || set -- $(ls tests/fuzz/corpus)
for target in "$@"; do
	ninja -C build/fuzz "tests/fuzz_$target" >/dev/null
done

mkdir -p build/fuzz/found
failed=0
for target in "$@"; do
	mkdir -p "build/fuzz/corpus/$target"
	log=build/fuzz/$target.log
	code=0
	build/fuzz/tests/fuzz_"$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/found/$target-" "build/fuzz/corpus/$target" "tests/fuzz/corpus/$target" \
		>"$log" 2>&1 || code=$?
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	cover=$(sed -n 's/.* cov: \([0-9]*\).*/\1/p' "$log" | tail -1)
	echo "$target: ${runs:-?} inputs, ${cover:-?} edges, exit $code"
	[ "$code" = 0 ] || failed=1
done
exit $failed
