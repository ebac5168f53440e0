#!/bin/sh
# mklib.sh BUILD JOBS PREFIX: the runtime as a library of its own, in BUILD/library: libcasco-runtime.a, its
# headers, its pkg-config file.
#
# One object that shows nothing but what the headers declare, compiled without LTO: an archive of
# LTO code would be for one version of one compiler.  Static only: a container's first process is a
# copy of its creator until execve, which a shared library would make dearer and easier to replace.
set -eu
build=$1 jobs=$2 prefix=$3
top=$(cd "$(dirname "$0")/.." && pwd)
out=$build/library
own=$build/library-build

[ -e "$own/build.ninja" ] || meson setup "$own" "$top" --buildtype=release -Db_lto=false >/dev/null
archives=""
for folder in runtime cgroup oci os base; do
	archives="$archives src/$folder/lib$folder.a"
done
# shellcheck disable=SC2086 # a list of words
ninja -C "$own" -j "$jobs" $archives >/dev/null

rm -rf "$out"
mkdir -p "$out/include"
headers="runtime/runtime.h base/log.h base/err.h base/mem.h base/macros.h oci/spec.h"
for h in $headers; do
	mkdir -p "$out/include/$(dirname "$h")"
	# What is banned is banned in casco's own sources only.
	sed '/"base\/banned.h"/d' "$top/src/$h" >"$out/include/$h"
done

# shellcheck disable=SC2086
(cd "$own" && ld -r -o casco-runtime.o --whole-archive $archives)
nm --defined-only -g "$own/casco-runtime.o" | awk '{ print $3 }' | sort -u >"$own/defined"
# shellcheck disable=SC2086
(cd "$out/include" && cat $headers) | grep -oE '[a-z_][a-z0-9_]*' | sort -u >"$own/declared"
comm -12 "$own/defined" "$own/declared" >"$own/public"
objcopy --keep-global-symbols="$own/public" --strip-debug "$own/casco-runtime.o"
ar rcsD "$out/libcasco-runtime.a" "$own/casco-runtime.o"

version=$(sed -n "s/^project('casco'.* version : '\([^']*\)'.*/\1/p" "$top/meson.build")
cat >"$out/libcasco-runtime.pc" <<END
prefix=$prefix
libdir=\${prefix}/lib
includedir=\${prefix}/include/casco-runtime

Name: libcasco-runtime
Description: The OCI runtime of casco as a library (static)
Version: $version
Requires: json-c libseccomp libcrypto
Libs: -L\${libdir} -lcasco-runtime -lm -pthread
Cflags: -I\${includedir} -Ulinux -Uunix
END
