#include "nri/member.h"

#include <string.h>

json_object *member_child(json_object *o, const char *key)
{
	json_object *c;

	if (!json_object_object_get_ex(o, key, &c) || !json_object_is_type(c, json_type_object)) {
		c = json_object_new_object();
		json_object_object_add(o, key, c);
	}
	return c;
}

json_object *member_list(json_object *o, const char *key)
{
	json_object *c;

	if (!json_object_object_get_ex(o, key, &c) || !json_object_is_type(c, json_type_array)) {
		c = json_object_new_array();
		json_object_object_add(o, key, c);
	}
	return c;
}

json_object *member_get(json_object *o, const char *key)
{
	json_object *c = NULL;

	return json_object_object_get_ex(o, key, &c) ? c : NULL;
}

const char *member_text(json_object *o, const char *key)
{
	json_object *c = member_get(o, key);

	return json_object_is_type(c, json_type_string) ? json_object_get_string(c) : "";
}

void member_drop_named(json_object *list, const char *key, const char *name)
{
	for (size_t i = json_object_array_length(list); i-- > 0;)
		if (!strcmp(member_text(json_object_array_get_idx(list, i), key), name))
			json_object_array_del_idx(list, i, 1);
}

int member_append(json_object *want, json_object *to)
{
	for (size_t i = 0; want && i < json_object_array_length(want); i++)
		json_object_array_add(to, json_object_get(json_object_array_get_idx(want, i)));
	return 0;
}

void member_drop_env(json_object *env, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = json_object_array_length(env); i-- > 0;) {
		const char *s = json_object_get_string(json_object_array_get_idx(env, i)) ?: "";

		if (!strncmp(s, key, n) && s[n] == '=')
			json_object_array_del_idx(env, i, 1);
	}
}
