/* Classes of block devices' weights and limits: a file says what a class's name stands for.
 *
 * The file is goresctrl's, which containerd, CRI-O and Kubernetes read (YAML):
 *
 *	Classes:
 *	  slow:
 *	    - Weight: 80                      # without Devices: of all others
 *	    - Devices: [/dev/sd[a-z], /dev/disk/by-id/ssd-*]
 *	      ThrottleReadBps: 50M
 *	      ThrottleWriteIOPS: 5k
 *	      Weight: 50
 *
 * Devices are patterns of files; links are followed; partitions are left out, since the kernel has
 * no limits for them.  A later line of a class goes before an earlier one.  Nothing changes after
 * the load, so that any thread may ask. */
#pragma once

#include "base/jsonr.h"
#include "base/str.h"

struct blockio;

/* Reads the file and looks for the devices.  What is left out with a reason goes to warnings.
 * ERR_INVALID_ARGUMENT for a file that says what cannot be. */
int blockio_load(const char *path, struct blockio **ret, struct strv *warnings, struct err *e);
void blockio_free(struct blockio *b); /* NULL is fine */
static inline void blockio_freep(struct blockio **b)
{
	blockio_free(*b);
}
#define AUTO_BLOCKIO CLEANUP(blockio_freep)

/* linux.resources.blockIO of the runtime spec, the caller's (AUTO_JSON).  b may be NULL: no file.
 * ERR_NOT_FOUND `no OCI BlockIO parameters for class "x"`. */
int blockio_class(const struct blockio *b, const char *name, json_object **ret, struct err *e);
