/* YAML, read by libyaml: what others write their device and class files in.
 *
 * The result is a JSON tree, as toml.h's, of the first document: plain scalars are what YAML 1.1
 * takes them for (null, true, yes, on, 0x1f, 017, 1e3), quoted ones are strings, keys are text.
 * Aliases and merge keys ("<<") are copies, bounded as a whole.  A key that stands twice is an
 * error.  Linked by the daemon and ctr alone. */
#pragma once

#include "base/jsonr.h"

enum {
	YAML_DEPTH = 32,
	YAML_NODES = 1 << 18,
	YAML_ANCHORS = 256,
	YAML_DIRECTIVES = 64, /* or lines that look like one */
	YAML_MAX = 4 << 20,
};

/* ERR_INVALID_ARGUMENT `yaml: line N: REASON`.  No document is null.  The caller owns *ret
 * (AUTO_JSON). */
int yaml_parse(const char *text, size_t n, json_object **ret, struct err *e);
