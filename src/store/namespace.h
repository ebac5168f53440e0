/* Namespaces: names with labels, which everything else hangs below. */
#pragma once

#include "store/label.h"
#include "store/store.h"

/* ERR_ALREADY_EXISTS `namespace "x"`; ERR_INVALID_ARGUMENT for a wrong name. */
int namespace_create(struct store *s, const char *name, const struct labels *labels, struct err *e);

/* One that does not exist has no labels, and is no error: clients ask for a namespace's defaults
 * before anything is in it (dockerd will not start otherwise). */
int namespace_get(struct store *s, const char *name, struct arena *a, struct labels *ret,
		  struct err *e);

/* With a mask only labels.KEY paths; without, all labels are replaced.  Makes the namespace. */
int namespace_update(struct store *s, const char *name, struct arena *a, const struct labels *in,
		     const struct mask *mask, struct labels *ret, struct err *e);

/* ERR_FAILED_PRECONDITION with what it still holds, unless it is empty. */
int namespace_delete(struct store *s, const char *name, struct err *e);

/* visit returns 0 to go on; -1 with e filled stops the walk and is passed on.
 * The labels live until visit returns. */
typedef int namespace_visit(const char *name, const struct labels *l, void *arg, struct err *e);
int namespace_list(struct store *s, namespace_visit *visit, void *arg, struct err *e);
