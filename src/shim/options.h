/* The runtime options of a container, and what `start` is told on stdin.
 *
 * Options come as a protobuf Any of containerd.runc.v1.Options: on stdin of `start` and `-info`,
 * and again in each Create; the shim keeps them as options.json in the bundle for `delete`. */
#pragma once

#include "base/err.h"
#include "base/mem.h"

#include <stdbool.h>
#include <stdint.h>

/* Strings are "" where nothing was given. */
struct shim_options {
	bool no_pivot_root, no_new_keyring, systemd_cgroup;
	const char *shim_cgroup, *binary_name, *root, *criu_image_path, *criu_work_path;
	uint32_t io_uid, io_gid;
};

#define SHIM_RUNTIME_ROOT "/run/containerd/runc"

extern const struct shim_options shim_options_default;

/* An Any whose value is empty is as good as none.  A type that is not ours is
 * ERR_INVALID_ARGUMENT. */
int shim_options_decode(struct arena *a, const char *type_url, const void *value, size_t n,
			struct shim_options *ret, struct err *e);

/* BUNDLE/options.json and BUNDLE/runtime, as containerd's shim writes them. */
int shim_options_save(int bundlefd, const struct shim_options *o, struct err *e);
int shim_options_load(struct arena *a, int bundlefd, struct shim_options *ret, struct err *e);

/* What came on stdin. */
struct shim_boot {
	bool has_params; /* BootstrapParams of containerd 2.3 and later; else an Any or nothing */
	const char *socket_dir; /* "" when not given */
	const char *ttrpc_address, *grpc_address;
	const char *options_type; /* of the Any, wherever it was; "" when none */
	const uint8_t *options_value;
	size_t options_len;
};

/* id is that of the command line: it tells the two messages apart, which parse as each other. */
int shim_boot_decode(struct arena *a, const char *id, const void *bytes, size_t n,
		     struct shim_boot *ret, struct err *e);
