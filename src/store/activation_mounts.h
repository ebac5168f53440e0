/* The mounts of an activation, made and undone in the folder of its number; for activation.c. */
#pragma once

#include "store/activation.h"

#include <stdatomic.h>

struct activations {
	char *path; /* .../t */
	int fd; /* the same */
	atomic_ullong next; /* the number of the next folder */
};

/* Makes the folder; finds the numbers in it. */
int activations_open(struct activations *all, const char *path, struct err *e);
void activations_close(struct activations *all);

/* How many of its mounts the daemon makes, at most n; -1: nothing in it is for the daemon. */
int activation_share(const struct activation_new *n);

/* r->number's folder and the first `share` mounts of n.  Fills active, points and system; what was
 * made when it failed is for activation_undo(). */
int activation_make(struct store *s, const struct activation_new *n, size_t share, struct arena *a,
		    struct activation *r, struct err *e);

/* All of a folder, the last mount first.  None being there is fine. */
int activation_undo(struct activations *all, uint64_t number, struct err *e);
