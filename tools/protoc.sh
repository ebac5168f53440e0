#!/bin/sh
# protoc.sh PROTOC_C SOURCE_DIR OUT_DIR: every interface file below SOURCE_DIR to C.
# Headers keep their package path below OUT_DIR; C files get flat names, which is what the build
# system wants of outputs.  protos.h is the last thing written: it stands for all of them.
set -eu
cd "$2"
# shellcheck disable=SC2046 # no interface file has a space in its name
"$1" -I. --c_out="$3" $(find . -name '*.proto' -printf '%P\n')
cd "$3"
find . -mindepth 2 -name '*.pb-c.c' -printf '%P\n' | while read -r c; do
	mv "$c" "$(echo "${c%.pb-c.c}" | tr '/.-' '___').pb-c.c"
done
echo '/* made last by tools/protoc.sh */' >protos.h
