#include "shim/forsaken.h"

#include "base/log.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "shim/task.h"
#include "wire/ttrpc_server.h"

static const uint64_t patience = (uint64_t)FORSAKEN_SECONDS * 1000000000u;

struct forsaken {
	struct shim *shim;
	struct loop_timer *timer;
};

/* With a container there is something to find us by: its bundle.  Whoever deletes it connects, and
 * leaves us alone again. */
static void on_time(UNUSED struct loop_timer *t, void *arg)
{
	struct shim *s = ((struct forsaken *)arg)->shim;

	if (s->containers || s->sandbox || ttrpc_server_connections(s->server))
		return;
	log_warn(LOG_NONE, "no container and no connection for %d s, shutting down",
		 FORSAKEN_SECONDS);
	s->stop(s);
}

static void on_alone(void *arg)
{
	loop_timer_set(((struct forsaken *)arg)->timer, patience);
}

struct forsaken *forsaken_new(struct shim *s)
{
	struct forsaken *f = NEW(struct forsaken);

	f->shim = s;
	f->timer = loop_timer_add(s->loop, patience, on_time, f);
	ttrpc_server_on_alone(s->server, on_alone, f);
	return f;
}

void forsaken_free(struct forsaken *f)
{
	ttrpc_server_on_alone(f->shim->server, NULL, NULL);
	loop_timer_remove(f->timer);
	free(f);
}
