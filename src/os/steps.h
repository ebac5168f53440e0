/* What the processes of one piece of work are at, for whoever waits for them: in a page they share,
 * so that it is still known when they have been killed.
 *
 * Each of them writes its own steps, one after the other: a step ends where its writer's next one
 * begins.  Who reads trusts nothing that is in the page.  NULL in place of steps is none, which
 * costs a test. */
#pragma once

#include "base/macros.h"

#include <stdint.h>

enum steps_who { STEPS_SHIM, STEPS_RUNTIME, STEPS_INIT, STEPS_WHOS };
extern const char *const steps_who_names[STEPS_WHOS];

enum { STEPS_NAME = 78, STEPS_MAX = 42 }; /* what is more is not noted */

struct steps;
struct steps *steps_new(void); /* NULL: no memory */
void steps_free(struct steps *s); /* in this process */

void steps_begin(struct steps *s, enum steps_who who, const char *name);
void steps_end(struct steps *s, enum steps_who who);

struct step {
	enum steps_who who;
	uint64_t begin, end; /* CLOCK_REALTIME, which no time namespace moves; end 0: not over */
	char name[STEPS_NAME]; /* printable, without '|' and ';' */
};
/* In the order they began; returns how many. */
size_t steps_read(const struct steps *s, struct step ret[STEPS_MAX]);
