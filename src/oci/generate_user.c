/* Users and groups by the image's own /etc/passwd and /etc/group, whose bytes are hostile: lines
 * that do not parse are no lines, numbers out of range match nothing. */
#include "oci/generate.h"

#include "base/num.h"

#include <limits.h>

enum { MAX_GIDS = 65536 };

/* The original's bound: what does not fit an int32 is refused. */
static bool id_in_range(const char *s, uint32_t *ret)
{
	return num_id(s, ret) == 0 && *ret <= INT32_MAX;
}

/* Digits with an optional sign: it was meant as a number, so it never names anybody. */
static bool looks_numeric(const char *s)
{
	if (*s == '-' || *s == '+')
		s++;
	return *s && !s[strspn(s, "0123456789")];
}

/* One "a:b:c" line, cut in place.  Returns the number of fields found, at most max. */
static size_t split_line(char *line, char **fields, size_t max)
{
	size_t n = 0;

	while (n < max) {
		fields[n++] = line;
		line = strchr(line, ':');
		if (!line)
			break;
		*line++ = 0;
	}
	return n;
}

struct lines {
	char *copy, *rest;
};

static char *next_line(struct lines *l)
{
	char *line;

	while (l->rest && *l->rest) {
		line = l->rest;
		l->rest = strchr(line, '\n');
		if (l->rest)
			*l->rest++ = 0;
		line += strspn(line, " \t\r");
		if (*line && *line != '#')
			return line;
	}
	return NULL;
}

struct passwd_entry {
	char *name;
	uint32_t uid, gid;
};

/* By name, or by uid when name is NULL.  The entry's name lives in l->copy. */
static bool find_passwd(struct lines *l, const char *name, uint32_t uid, struct passwd_entry *ret)
{
	char *line, *f[5];

	while ((line = next_line(l))) {
		if (split_line(line, f, ARRAY_LEN(f)) < 4)
			continue;
		if (!id_in_range(f[2], &ret->uid) || !id_in_range(f[3], &ret->gid))
			continue;
		if (name ? strcmp(f[0], name) != 0 : ret->uid != uid)
			continue;
		ret->name = f[0];
		return true;
	}
	return false;
}

static bool find_group(const char *group, const char *name, uint32_t *ret)
{
	char *copy AUTO_FREE = xstrdup(group), *line, *f[5];
	struct lines l = { copy, copy };

	while ((line = next_line(&l)))
		if (split_line(line, f, ARRAY_LEN(f)) >= 3 && !strcmp(f[0], name) &&
		    id_in_range(f[2], ret))
			return true;
	return false;
}

static bool lists_member(char *members, const char *name)
{
	for (char *m; (m = strsep(&members, ","));)
		if (!strcmp(m, name))
			return true;
	return false;
}

static void add_gid(struct oci_user *u, uint32_t gid, size_t *cap)
{
	for (size_t i = 0; i < u->n_additional_gids; i++)
		if (u->additional_gids[i] == gid)
			return;
	if (u->n_additional_gids >= MAX_GIDS)
		return;
	GROW(u->additional_gids, u->n_additional_gids, *cap);
	u->additional_gids[u->n_additional_gids++] = gid;
}

/* The primary group first, then every group that lists the user. */
static void add_groups(struct arena *a, struct oci_user *u, const char *name, const char *group)
{
	char *copy AUTO_FREE = xstrdup(group), *line, *f[5];
	struct lines l = { copy, copy };
	uint32_t gid, *own = NULL;
	size_t cap = 0;

	u->additional_gids = NULL;
	u->n_additional_gids = 0;
	add_gid(u, u->gid, &cap);
	while (name && (line = next_line(&l)))
		if (split_line(line, f, 4) == 4 && id_in_range(f[2], &gid) &&
		    lists_member(f[3], name))
			add_gid(u, gid, &cap);
	own = u->additional_gids;
	u->additional_gids = arena_memdup(a, own, u->n_additional_gids * sizeof *own);
	free(own);
}

static int read_id(const char *what, const char *text, uint32_t *ret, struct err *e)
{
	if (id_in_range(text, ret))
		return 0;
	return err_set(e, ERR_INVALID_ARGUMENT,
		       "%s \"%s\" is out of range: it must be between 0 and %d", what, text,
		       INT32_MAX);
}

static int read_group(const char *text, const char *group, uint32_t *ret, struct err *e)
{
	if (looks_numeric(text))
		return read_id("gid", text, ret, e);
	if (!find_group(group, text, ret))
		return err_set(e, ERR_NOT_FOUND,
			       "no groups found: \"%s\" is not in the image's /etc/group", text);
	return 0;
}

int generate_user(struct arena *a, const char *user, const char *passwd, const char *group,
		  struct oci_user *ret, struct err *e)
{
	char *text AUTO_FREE = xstrdup(user && *user ? user : "0");
	char *copy AUTO_FREE = xstrdup(passwd ? passwd : "");
	char *group_part = strchr(text, ':');
	struct lines l = { copy, copy };
	struct passwd_entry entry = { 0 };
	uint32_t uid = 0;
	bool found;

	if (group_part)
		*group_part++ = 0;
	if (!*text || (group_part && (!*group_part || strchr(group_part, ':'))))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid USER value %s", user);
	if (looks_numeric(text)) {
		if (read_id("uid", text, &uid, e) < 0)
			return -1;
		found = find_passwd(&l, NULL, uid, &entry);
	} else {
		found = find_passwd(&l, text, 0, &entry);
		if (!found)
			return err_set(e, ERR_NOT_FOUND,
				       "no users found: \"%s\" is not in the image's /etc/passwd",
				       text);
		uid = entry.uid;
	}
	ret->uid = uid;
	ret->gid = found ? entry.gid : 0;
	if (group_part && read_group(group_part, group ? group : "", &ret->gid, e) < 0)
		return -1;
	add_groups(a, ret, found && !group_part ? entry.name : NULL, group ? group : "");
	return 0;
}
