/* Ways to change a config.json in memory. */
#pragma once

#include "base/jsonr.h"

/* The object or list of that name; made, in place of anything else, where there is none. */
json_object *member_child(json_object *o, const char *key);
json_object *member_list(json_object *o, const char *key);

json_object *member_get(json_object *o, const char *key); /* NULL: none */
const char *member_text(json_object *o, const char *key); /* "" for all that is no text */

/* The items whose `key` is this name; the variable of an environment. */
void member_drop_named(json_object *list, const char *key, const char *name);
void member_drop_env(json_object *env, const char *key);

int member_append(json_object *want, json_object *to); /* all items; 0 */
