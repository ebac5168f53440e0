#!/bin/sh
# install.sh install|uninstall BUILD DESTDIR PREFIX SYSCONFDIR: where the originals' files go.
set -eu
verb=$1 build=$2 dest=$3 prefix=$4 etc=$5

put() { # put MODE FROM TO
	if [ "$verb" = install ]; then
		install -D -m "$1" "$2" "$dest$3"
	else
		rm -f "$dest$3"
	fi
}

put 755 "$build/bin/runc" "$prefix/sbin/runc"
for p in containerd containerd-shim-runc-v2 ctr; do
	put 755 "$build/bin/$p" "$prefix/bin/$p"
done
put 755 "$build/bin/containerd-transfer" "$prefix/libexec/casco/containerd-transfer"

put 644 "$build/library/libcasco-runtime.a" "$prefix/lib/libcasco-runtime.a"
sed "s,^prefix=.*,prefix=$prefix," "$build/library/libcasco-runtime.pc" >"$build/libcasco-runtime.pc"
put 644 "$build/libcasco-runtime.pc" "$prefix/lib/pkgconfig/libcasco-runtime.pc"
for h in runtime/runtime.h base/log.h base/err.h base/mem.h base/macros.h oci/spec.h; do
	put 644 "$build/library/include/$h" "$prefix/include/casco-runtime/$h"
done

unit=$build/containerd.service
sed "s,/usr/local/bin/,$prefix/bin/," dist/containerd.service >"$unit"
put 644 "$unit" "$prefix/lib/systemd/system/containerd.service"

# The administrator's configuration is never overwritten or removed.
if [ "$verb" = install ] && [ ! -e "$dest$etc/containerd/config.toml" ]; then
	put 644 dist/config.toml "$etc/containerd/config.toml"
fi

for p in ctr runc; do
	put 644 "dist/completion/bash/$p" "$prefix/share/bash-completion/completions/$p"
	put 644 "dist/completion/zsh/_$p" "$prefix/share/zsh/site-functions/_$p"
	put 644 "dist/completion/fish/$p.fish" "$prefix/share/fish/vendor_completions.d/$p.fish"
done

for page in docs/man/*.md; do
	name=$(basename "$page" .md) # runc.8
	section=${name##*.}
	tools/mdman.py "$page" >"$build/$name"
	put 644 "$build/$name" "$prefix/share/man/man$section/$name"
done
