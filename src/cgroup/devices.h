/* Which devices a container may use: rules folded into a set, and the set told to the kernel.
 *
 * The start is always "nothing"; the spec's rules come in their order, then what every container
 * gets (making any node; null, zero, full, random, urandom, tty, ptmx and its terminals). */
#pragma once

#include "base/err.h"
#include "oci/spec.h"

#include <linux/bpf.h>

enum { /* the kernel's BPF_DEVCG_ACC_ bits */
       DEVICE_MKNOD = 1 << 0,
       DEVICE_READ = 1 << 1,
       DEVICE_WRITE = 1 << 2,
};
#define DEVICE_ANY (-1)

struct device_exception {
	char type; /* b or c */
	int64_t major, minor; /* DEVICE_ANY */
	unsigned access; /* DEVICE_ bits */
};

/* All but the exceptions are allowed (default_allow), or only they are. */
struct device_set {
	bool default_allow;
	struct device_exception *v;
	size_t n, cap;
};

/* Pure.  ERR_INVALID_ARGUMENT for a rule that would punch a hole into a wider one: the kernel's v1
 * would ignore it in silence. */
int device_set_build(struct arena *a, const struct oci_device_rule *rules, size_t n,
		     struct device_set *ret, struct err *e);

/* "c 1:3 rwm", "b *:* m" */
const char *device_exception_text(struct arena *a, const struct device_exception *x);

/* v1: devices.allow and devices.deny.  is_new: the folder was made just now. */
int device_set_write_v1(const struct device_set *s, int dirfd, const char *path, bool is_new,
			struct err *e);

/* v2: a program of type BPF_PROG_TYPE_CGROUP_DEVICE.  Pure; the instructions live in the arena. */
int device_set_assemble(struct arena *a, const struct device_set *s, struct bpf_insn **ret,
			size_t *ret_n, struct err *e);

/* Loads and attaches it, in place of those that are there; one that allows all is none. */
int device_set_attach_v2(const struct device_set *s, int dirfd, const char *path, bool is_new,
			 struct err *e);
