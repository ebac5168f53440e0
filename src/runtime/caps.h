/* Capabilities: names ↔ numbers, and a process's five sets. */
#pragma once

#include "runtime/plan.h"

/* "CAP_CHOWN" in any case. -1: unknown. */
int caps_number(const char *name);
const char *caps_name(unsigned number); /* NULL: none */

/* The sets of the spec as masks.  Names that this kernel or we do not know are left out with a
 * warning, as runc does. */
void caps_plan(const struct oci_capabilities *c, struct plan_caps *ret, struct strv *warnings);

/* In the child, in this order: bounding (needs CAP_SETPCAP), the switch of the user with
 * PR_SET_KEEPCAPS, then the rest.  The inheritable set is what the plan says, and only that. */
int caps_apply_bounding(const struct plan_caps *c, struct err *e);
int caps_apply(const struct plan_caps *c, struct err *e);
