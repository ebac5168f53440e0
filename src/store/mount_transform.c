#include "store/mount_transform.h"

#include "base/num.h"
#include "base/str.h"
#include "store/mount_make.h"

#include <string.h>

enum { TEXT_MAX = 1 << 20 };

struct transform {
	const char *prefix;
	int (*fn)(struct arena *a, const struct transform_roots *roots,
		  const struct activation *before, struct mount *m, struct err *e);
};

/* --- format --- */

struct words {
	const char *v[3];
	size_t n;
};

/* The words between the braces, at most three. */
static int split(struct arena *a, const char *p, size_t n, struct words *w, struct err *e)
{
	const char *end = p + n;

	while (p < end) {
		size_t k = 0;

		while (p < end && (*p == ' ' || *p == '\t'))
			p++;
		while (p + k < end && p[k] != ' ' && p[k] != '\t')
			k++;
		if (k == 0)
			break;
		if (w->n == ARRAY_LEN(w->v))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "template: wrong number of args for %s", w->v[0]);
		w->v[w->n++] = arena_strndup(a, p, k);
		p += k;
	}
	return 0;
}

static int take_index(const struct words *w, size_t i, const struct activation *before,
		      uint32_t *ret, struct err *e)
{
	if (num_u32(w->v[i], ret) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "template: \"%.100s\" is no index",
			       w->v[i]);
	if (*ret >= before->active.n)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "index out of bounds: %u, has %zu active mounts", *ret,
			       before->active.n);
	return 0;
}

static int add_overlay(const struct words *w, const struct activation *before, struct str *out,
		       struct err *e)
{
	uint32_t from, to;

	if (take_index(w, 1, before, &from, e) < 0 || take_index(w, 2, before, &to, e) < 0)
		return -1;
	str_add(out, before->points.v[from].key);
	while (from != to) {
		from = from < to ? from + 1 : from - 1;
		str_addf(out, ":%s", before->points.v[from].key);
	}
	return 0;
}

static int add_value(const struct words *w, const struct activation *before, struct str *out,
		     struct err *e)
{
	const char *word = w->n ? w->v[0] : "";
	bool is_overlay = !strcmp(word, "overlay");
	uint32_t i;

	if (!is_overlay && strcmp(word, "source") != 0 && strcmp(word, "target") != 0 &&
	    strcmp(word, "mount") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "template: function \"%.100s\" not defined",
			       word);
	if (w->n != (is_overlay ? 3 : 2))
		return err_set(e, ERR_INVALID_ARGUMENT, "template: wrong number of args for %s",
			       word);
	if (is_overlay)
		return add_overlay(w, before, out, e);
	if (take_index(w, 1, before, &i, e) < 0)
		return -1;
	str_add(out, *word == 's'   ? before->active.v[i].source
		     : *word == 't' ? before->active.v[i].target
				    : before->points.v[i].key);
	return 0;
}

int transform_format(struct arena *a, const struct activation *before, const char *text,
		     const char **ret, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(TEXT_MAX);
	const char *open;

	if (!strstr(text, "{{")) {
		*ret = text;
		return 0;
	}
	while ((open = strstr(text, "{{"))) {
		const char *close = strstr(open, "}}");
		struct words w = { .n = 0 };

		if (!close)
			return err_set(e, ERR_INVALID_ARGUMENT, "template: unclosed action");
		str_addn(&out, text, (size_t)(open - text));
		if (split(a, open + 2, (size_t)(close - open - 2), &w, e) < 0 ||
		    add_value(&w, before, &out, e) < 0)
			return -1;
		text = close + 2;
	}
	str_add(&out, text);
	if (out.over)
		return err_set(e, ERR_OUT_OF_RANGE, "template: the text is too long");
	*ret = arena_strdup(a, str_c(&out));
	return 0;
}

static int format(struct arena *a, const struct transform_roots *roots UNUSED,
		  const struct activation *before, struct mount *m, struct err *e)
{
	if (transform_format(a, before, m->source, &m->source, e) < 0 ||
	    transform_format(a, before, m->target, &m->target, e) < 0)
		return -1;
	for (size_t i = 0; i < m->noptions; i++)
		if (transform_format(a, before, m->options[i], &m->options[i], e) < 0)
			return -1;
	return 0;
}

/* --- mkdir and mkfs --- */

#define MKDIR "X-containerd.mkdir."
#define MKFS "X-containerd.mkfs."

static int parse_mkdir(struct arena *a, const char *option, struct mount_dir *ret, struct err *e)
{
	const char *value = option + strlen(MKDIR);
	struct strv AUTO_STRV parts = { 0 };

	*ret = (struct mount_dir){ .mode = 0700, .uid = geteuid(), .gid = getegid() };
	if (!str_starts(value, "path="))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid mkdir option \"%.300s\"", option);
	for (const char *p = value + strlen("path="); p;
	     p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL)
		strv_add_take(&parts, xstrndup(p, strcspn(p, ":")));
	if (parts.n != 1 && parts.n != 2 && parts.n != 4)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid mkdir option \"%.300s\"", option);
	ret->path = arena_strdup(a, parts.v[0]);
	if (parts.n > 1 && (num_mode(parts.v[1], &ret->mode) < 0 || ret->mode > 0777))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid mode %.100s", parts.v[1]);
	if (parts.n == 4 && num_id(parts.v[2], &ret->uid) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid uid \"%.100s\"", parts.v[2]);
	if (parts.n == 4 && num_id(parts.v[3], &ret->gid) < 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid gid \"%.100s\"", parts.v[3]);
	return 0;
}

static int mkdirs(struct arena *a, const struct transform_roots *roots,
		  const struct activation *before UNUSED, struct mount *m, struct err *e)
{
	size_t n = 0;

	for (size_t i = 0; i < m->noptions; i++) {
		struct mount_dir dir;

		if (!str_starts(m->options[i], MKDIR)) {
			m->options[n++] = m->options[i];
			continue;
		}
		if (parse_mkdir(a, m->options[i], &dir, e) < 0 ||
		    mount_make_dir(roots->v, ARRAY_LEN(roots->v), &dir, e) < 0)
			return -1;
	}
	m->noptions = n;
	return 0;
}

static int take_mkfs(const char *option, struct mount_image *image, struct err *e)
{
	const char *o = option + strlen(MKFS);

	if (str_starts(o, "size=")) {
		if (num_size(o + 5, &image->size) < 0)
			return err_set(e, ERR_INVALID_ARGUMENT, "bad option size: \"%.100s\"",
				       o + 5);
	} else if (str_starts(o, "fs=")) {
		image->fs = o + 3;
	} else if (str_starts(o, "uuid=")) {
		image->uuid = o + 5;
	} else {
		return err_set(e, ERR_INVALID_ARGUMENT, "unknown mount option %.300s", o);
	}
	return 0;
}

static int mkfs(struct arena *a UNUSED, const struct transform_roots *roots,
		const struct activation *before UNUSED, struct mount *m, struct err *e)
{
	struct mount_image image = { .path = m->source, .fs = "ext4" };
	size_t n = 0;

	for (size_t i = 0; i < m->noptions; i++) {
		if (!str_starts(m->options[i], MKFS))
			m->options[n++] = m->options[i];
		else if (take_mkfs(m->options[i], &image, e) < 0)
			return -1;
	}
	m->noptions = n;
	if (!image.size)
		return err_set(e, ERR_INVALID_ARGUMENT, "mkfs requires mkfs.size option");
	return mount_make_image(roots->v, ARRAY_LEN(roots->v), &image, e);
}

/* --- all of them --- */

static const struct transform known[] = { { "format/", format },
					  { "mkdir/", mkdirs },
					  { "mkfs/", mkfs } };

static const struct transform *find(const char *type)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (str_starts(type, known[i].prefix))
			return &known[i];
	return NULL;
}

size_t transform_prefix(const char *type)
{
	const struct transform *t = find(type);

	return t ? strlen(t->prefix) : 0;
}

int transform_mount(struct arena *a, const struct transform_roots *roots,
		    const struct activation *before, const struct mount *m, struct mount *r,
		    struct err *e)
{
	const struct transform *t;

	*r = *m;
	r->options = arena_memdup(a, m->options, m->noptions * sizeof *m->options);
	while ((t = find(r->type))) {
		r->type += strlen(t->prefix);
		if (t->fn(a, roots, before, r, e) < 0)
			return -1;
	}
	return 0;
}
