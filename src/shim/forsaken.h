/* A shim that nobody knows of ends by itself.
 *
 * A daemon that is killed between starting a shim and noting its address, or between a container's
 * Delete and the shim's Shutdown, leaves a shim behind that no later daemon can find.  A daemon
 * that lives keeps its connection for as long as it knows the shim, and makes it within
 * milliseconds of the start.  So: no container, and no connection for FORSAKEN_SECONDS, means that
 * nobody will ever come. */
#pragma once

#include <stdint.h>

enum { FORSAKEN_SECONDS = 20 };

struct shim;
struct forsaken;

/* After s->loop and s->server are there; s->stop is called when the time has come. */
struct forsaken *forsaken_new(struct shim *s);
void forsaken_free(struct forsaken *f); /* before the loop */
