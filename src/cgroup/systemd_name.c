/* Which unit a container is. */
#include "base/num.h"
#include "cgroup/systemd.h"

#include <string.h>

#define SLICE ".slice"

int systemd_expand_slice(struct arena *a, const char *slice, const char **ret, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(16384);
	size_t stem = strlen(slice);

	if (!str_ends(slice, SLICE) || strchr(slice, '/') || stem > 255)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid slice name: %s", slice);
	stem -= strlen(SLICE);
	if (stem == 1 && *slice == '-') {
		*ret = "/";
		return 0;
	}
	/* Each prefix up to a '-' is a slice around the next; none of their names is empty. */
	for (size_t i = 0, start = 0; i <= stem; i++) {
		if (i < stem && slice[i] != '-')
			continue;
		if (i == start)
			return err_set(e, ERR_INVALID_ARGUMENT, "invalid slice name: %s", slice);
		str_addf(&out, "/%.*s" SLICE, (int)i, slice);
		start = i + 1;
	}
	*ret = arena_strdup(a, str_c(&out));
	return 0;
}

/* Unit names are file names to systemd and to the kernel: what can't be one is refused here. */
static int check_name(const char *name, struct err *e)
{
	size_t n = strlen(name);

	if (strchr(name, '/') || n > 255)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid unit name: %s", name);
	return 0;
}

int systemd_unit_parse(struct arena *a, const char *path, const char *id, bool is_user,
		       struct systemd_unit *ret, struct err *e)
{
	const char *prefix = "runc", *name = id, *slice = "", *expanded;

	if (path && *path) {
		const char *first = strchr(path, ':');
		const char *second = first ? strchr(first + 1, ':') : NULL;

		if (!second || strchr(second + 1, ':'))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "expected cgroupsPath to be of format "
				       "\"slice:prefix:name\" for systemd cgroups, got \"%s\" "
				       "instead",
				       path);
		slice = arena_strndup(a, path, (size_t)(first - path));
		prefix = arena_strndup(a, first + 1, (size_t)(second - first - 1));
		name = arena_strdup(a, second + 1);
	}
	if (!*slice)
		slice = is_user ? "user" SLICE : "system" SLICE;
	if (systemd_expand_slice(a, slice, &expanded, e) < 0)
		return -1;
	*ret = (struct systemd_unit){
		.container = name,
		.slice = slice,
		.is_slice = str_ends(name, SLICE),
	};
	ret->name = ret->is_slice ? name : arena_printf(a, "%s-%s.scope", prefix, name);
	if (check_name(ret->name, e) < 0)
		return -1;
	ret->dir = arena_printf(a, "%s/%s", strcmp(expanded, "/") == 0 ? "" : expanded, ret->name);
	return 0;
}

int systemd_version(const char *text)
{
	char digits[8] = "";
	int v;

	text += strspn(text, "\"v");
	size_t n = strspn(text, "0123456789");
	if (!n || n >= sizeof digits)
		return -1;
	memcpy(digits, text, n);
	return num_i32(digits, &v) < 0 ? -1 : v;
}
