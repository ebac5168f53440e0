/* Why a container is not running: the last end of its first process, whether the kernel was out of
 * memory before it, and the last failure to create or start it, remembered by the daemon until the
 * container is removed or started again.
 *
 * One small JSON file a container, STATE/io.casco.history/NS/ID:
 *	{"pid":…,"exit_status":137,"exited_at":"…","oom_at":"…","error":"…","error_at":"…"}
 * with what is known.  `ctr why` reads it; the plugin task exports the folder, and that of the
 * containers' logs (ROOT/io.casco.logs/NS/ID, by the shim's log driver). */
#pragma once

#include "base/err.h"

struct arena;
struct config;
struct engine;
struct history;

/* Listens to the exchange of en, which it borrows and which gets it as en->history. */
int history_start(struct engine *en, struct err *e);
/* No more events: before the pool ends. */
void history_stop(struct history *h); /* NULL is fine */
void history_free(struct history *h); /* after it; NULL is fine */

/* A Create or Start that failed; e is not changed. */
void history_failed(struct history *h, const char *ns, const char *id, const struct err *e);

/* The container was removed: its log goes before the reply, so that a new one of the same name
 * begins with an empty one. */
void history_forget_log(const struct engine *en, const char *ns, const char *id);

const char *history_root(const struct config *c, struct arena *a);
const char *history_log_root(const struct config *c, struct arena *a);
