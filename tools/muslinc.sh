#!/bin/sh
# muslinc.sh FOLDER INCLUDE COMPILER...: makes FOLDER with links to the headers of INCLUDE (/usr/include)
# that a musl program of ours needs beside musl's own: the kernel's, and those of the libraries that are
# linked into it; in FOLDER/compiler the compiler's.  Nothing else of INCLUDE is to be found there: those
# are glibc's.
set -eu
folder=$1
include=$2
shift 2
machine=$("$@" -print-multiarch)
[ -n "$machine" ] || machine=$(uname -m)-linux-gnu # older clangs do not say
rm -rf "$folder"
mkdir -p "$folder/compiler"
ln -s "$include/$machine/asm" "$folder/asm"
ln -s "$("$@" -print-file-name=include)"/*.h "$folder/compiler"
for h in linux asm-generic json-c protobuf-c seccomp.h seccomp-syscalls.h sha2.h nghttp2 yaml.h zlib.h zconf.h; do
	ln -s "$include/$h" "$folder/$h"
	[ -e "$folder/$h" ] || { echo "muslinc: no $h" >&2 && exit 1; }
done
