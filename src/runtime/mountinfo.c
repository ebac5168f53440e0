#include "runtime/mountinfo.h"

#include "base/mem.h"
#include "base/num.h"

#include <string.h>

enum { POINT = 4, /* fields before it */ DEPTH_MAX = 1000 };

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' && s[2] >= '0' &&
	       s[2] <= '7';
}

static void add_field(struct str *ret, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\\' && n - i > 3 && is_octal(s + i + 1)) {
			str_addc(ret, (char)((s[i + 1] - '0') * 64 + (s[i + 2] - '0') * 8 +
					     (s[i + 3] - '0')));
			i += 3;
		} else {
			str_addc(ret, s[i]);
		}
	}
}

bool mountinfo_point(const char *text, uint64_t id, struct str *ret)
{
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n"), n = strcspn(line, " \n");
		AUTO_FREE char *first = xstrndup(line, n);
		const char *p = line;
		uint64_t v;

		for (int i = 0; i < POINT && *p && *p != '\n'; i++) {
			p += strcspn(p, " \n");
			p += *p == ' ';
		}
		n = strcspn(p, " \n");
		if (n && *p == '/' && num_u64(first, &v) == 0 && v == id) {
			add_field(ret, p, n);
			return true;
		}
		line += len + (line[len] == '\n');
	}
	return false;
}

struct mount_line {
	uint64_t id, parent;
	const char *root, *point, *type;
	size_t n_root, n_point, n_type;
};

static bool read_line(const char *line, struct mount_line *ret)
{
	size_t len = strcspn(line, "\n");
	AUTO_FREE char *copy = xstrndup(line, len);
	char *fields[POINT + 1], *rest = copy;

	for (int i = 0; i <= POINT; i++)
		fields[i] = strsep(&rest, " ");
	if (!rest || num_u64(fields[0], &ret->id) < 0 || num_u64(fields[1], &ret->parent) < 0)
		return false;
	char *type = strstr(rest, " - ");
	if (!type)
		return false;
	type += 3;
	ret->root = line + (fields[POINT - 1] - copy);
	ret->n_root = strlen(fields[POINT - 1]);
	ret->point = line + (fields[POINT] - copy);
	ret->n_point = strlen(fields[POINT]);
	ret->type = line + (type - copy);
	ret->n_type = strcspn(type, " ");
	return true;
}

static const char *next_line(const char *line)
{
	line += strcspn(line, "\n");
	return line + (*line == '\n');
}

static bool find_parent(const char *text, uint64_t id, uint64_t *ret)
{
	struct mount_line m;

	for (const char *line = text; *line; line = next_line(line))
		if (read_line(line, &m) && m.id == id) {
			*ret = m.parent;
			return true;
		}
	return false;
}

/* By ids: a path does not tell which of two mounts on top of each other it leads to. */
static bool is_within(const char *text, uint64_t id, uint64_t top)
{
	for (int depth = 0; depth < DEPTH_MAX; depth++)
		if (id == top)
			return true;
		else if (!find_parent(text, id, &id))
			return false;
	return false;
}

static bool is(const char *s, size_t n, const char *word)
{
	return strlen(word) == n && memcmp(s, word, n) == 0;
}

bool mountinfo_next_bare(const char *text, uint64_t except, const char **at, struct str *ret)
{
	struct mount_line m;

	while (**at) {
		const char *line = *at;

		*at = next_line(line);
		if (!read_line(line, &m) || !is(m.root, m.n_root, "/") || *m.point != '/' ||
		    (!is(m.type, m.n_type, "proc") && !is(m.type, m.n_type, "sysfs")) ||
		    is_within(text, m.id, except))
			continue;
		add_field(ret, m.point, m.n_point);
		return true;
	}
	return false;
}
