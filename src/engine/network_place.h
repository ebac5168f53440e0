/* One container's network on disk: ROOT/io.casco.network/NS/ID, and what is put into its spec. */
#pragma once

#include "base/jsonr.h"
#include "base/mem.h"
#include "engine/engine.h"
#include "net/cni.h"

struct place {
	char *dir, *netns; /* the folder; the mount of the namespace in it */
	char *container; /* as plugins know it: see place_init() */
	char *foreign; /* as they do where a client attached by himself: "NS-ID" */
	const char *root; /* borrowed */
};
/* "NS-ID", as containerd's ctr has it; "NS--ID" where that could be split in several ways, for
 * neither has "--" in it: no namespace may undo what is another's. */
void place_init(struct place *p, const char *root, const char *ns, const char *id);
void place_done(struct place *p);
#define AUTO_PLACE CLEANUP(place_done)

int place_make(const struct place *p, struct err *e);
/* What plugins of a dead daemon are given, too: waits until they have ended, but not for ever,
 * since one of them may have left a program behind.  An fd, or -1. */
int place_lock(const struct place *p, struct err *e);
int place_remove(const struct place *p, struct err *e); /* the mount, too */

/* The record: {"attachments": [{"config", "ifName", "result"}], "isForeign": …}.  0: there is none.
 */
int place_read(const struct place *p, json_object **ret, struct err *e);
int place_write(const struct place *p, json_object *record, struct err *e);

/* The network namespace of a process is kept.  FAILED_PRECONDITION when it is our own. */
int place_pin(const struct place *p, uint32_t pid, struct err *e);
/* Where plugins find it: "" when it did not survive. */
const char *place_netns(const struct place *p);

/* Empty files for the container's mounts, and the mounts in its spec, unless the spec has something
 * there already. *spec is replaced, in the arena; *ret_hostname ("" without one), too. */
int place_add_mounts(const struct place *p, struct arena *a, struct any *spec,
		     const char **ret_hostname, struct err *e);
/* Their contents, once the addresses are known. */
int place_fill(const struct place *p, const char *id, const char *hostname, json_object *dns,
	       json_object *result, struct err *e);
