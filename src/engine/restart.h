/* The restart monitor: containers with the label containerd.io/restart.status are brought to that
 * state again and again, by their policy (containerd.io/restart.policy: always, on-failure[:N],
 * unless-stopped; .count, .explicitly-stopped, .loguri).
 *
 * These labels command the daemon, and .loguri may name a program for it to run.  Clients copy
 * labels of images onto containers, so a container whose image carries such a label itself is left
 * alone (CVE-2026-53488). */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine;
struct labels;
struct restarter;

/* A round each cfg->restart_interval.  Starts on its own; en outlives it. */
struct restarter *restarter_new(struct engine *en);
/* The loop's thread, while the pool still works: no further round begins. */
void restarter_stop(struct restarter *r);
/* After the pool has ended. */
void restarter_free(struct restarter *r); /* NULL is fine */

/* Whether a stopped container is to be started again, by its labels. */
bool restart_is_wanted(const struct labels *l, uint32_t exit_status);

/* restart_image.c: whether the image's own configs carry one of these labels. */
struct call;
int restart_image_commands(const struct call *call, const char *image, bool *ret, struct err *e);
/* Takes those that the image carries, too, out of a new container's labels; all of them, when the
 * image can't be read. */
void restart_drop_image_labels(const struct call *call, const char *image, struct labels *labels);

/* Every string of a JSON text, wherever it stands: keys, values, of doubled fields both.  A byte
 * that is not ASCII is 0x7f, and a long one is cut. */
typedef void restart_string_fn(const char *s, void *arg);
void restart_each_string(const char *text, size_t n, restart_string_fn *fn, void *arg);
/* Whether an index or a manifest has a field that only a reader who folds names finds. */
bool restart_is_disguised(const char *text, size_t n);
