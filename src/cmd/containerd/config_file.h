/* The keys of config.toml: one table, walked over what a file holds. */
#pragma once

#include "base/err.h"
#include "base/jsonr.h"
#include "engine/config.h"

struct config_source {
	const char *path, *text;
	json_object *top;
};

/* A key without effect that says what the original's own default file says. */
bool config_is_unused_default(const char *path, json_object *v);

/* A key that stands in several files: the last one wins. */
int config_apply(struct config *c, const struct config_source *src, struct err *e);

/* The table's rows; false after the last.  Two names of one thing have the same offset. */
struct config_key {
	const char *path;
	size_t offset; /* in struct config */
	bool has_effect;
};
bool config_key(size_t i, struct config_key *ret);
