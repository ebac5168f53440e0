#include "cgroup/devices.h"

#include "cgroup/private.h"

#include <inttypes.h>
#include <string.h>

enum { RWM = DEVICE_READ | DEVICE_WRITE | DEVICE_MKNOD };

/* What every container has, whatever its rules say: those that the runtime makes for it. */
static const struct device_exception defaults[] = {
	{ 'c', DEVICE_ANY, DEVICE_ANY, DEVICE_MKNOD },
	{ 'b', DEVICE_ANY, DEVICE_ANY, DEVICE_MKNOD },
	{ 'c', 1, 3, RWM }, /* null */
	{ 'c', 1, 8, RWM }, /* random */
	{ 'c', 1, 7, RWM }, /* full */
	{ 'c', 5, 0, RWM }, /* tty */
	{ 'c', 1, 5, RWM }, /* zero */
	{ 'c', 1, 9, RWM }, /* urandom */
	{ 'c', 136, DEVICE_ANY, RWM }, /* pts */
	{ 'c', 5, 2, RWM }, /* ptmx */
};

static const char *part(struct arena *a, int64_t v)
{
	return v == DEVICE_ANY ? "*" : arena_printf(a, "%" PRId64, v);
}

const char *device_exception_text(struct arena *a, const struct device_exception *x)
{
	return arena_printf(a, "%c %s:%s %s%s%s", x->type, part(a, x->major), part(a, x->minor),
			    x->access & DEVICE_READ ? "r" : "", x->access & DEVICE_WRITE ? "w" : "",
			    x->access & DEVICE_MKNOD ? "m" : "");
}

static bool same_devices(const struct device_exception *x, const struct device_exception *y)
{
	return x->type == y->type && x->major == y->major && x->minor == y->minor;
}

static bool covers(int64_t wide, int64_t narrow)
{
	return wide == DEVICE_ANY || wide == narrow;
}

static struct device_exception *find(struct device_set *s, const struct device_exception *x)
{
	for (size_t i = 0; i < s->n; i++)
		if (same_devices(&s->v[i], x))
			return &s->v[i];
	return NULL;
}

static void add_exception(struct device_set *s, const struct device_exception *x)
{
	struct device_exception *old = find(s, x);

	if (old)
		old->access |= x->access;
	else
		s->v[s->n++] = *x; /* room for all rules was made before */
}

static int remove_exception(struct arena *a, struct device_set *s, const struct device_exception *x,
			    struct err *e)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct device_exception *wide = &s->v[i];

		if (!same_devices(wide, x) && wide->type == x->type &&
		    covers(wide->major, x->major) && covers(wide->minor, x->minor) &&
		    wide->access & x->access)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "requested rule [%s] not supported (cannot punch hole in "
				       "existing wildcard rule [%s])",
				       device_exception_text(a, x), device_exception_text(a, wide));
	}

	struct device_exception *old = find(s, x);
	if (old)
		old->access &= ~x->access;
	if (old && !old->access)
		*old = s->v[--s->n];
	return 0;
}

static unsigned access_bits(const char *text)
{
	unsigned bits = 0;

	for (; *text; text++)
		bits |= *text == 'r' ? DEVICE_READ : *text == 'w' ? DEVICE_WRITE : DEVICE_MKNOD;
	return bits;
}

static int apply(struct arena *a, struct device_set *s, const struct oci_device_rule *r,
		 struct err *e)
{
	struct device_exception x = {
		.type = r->type,
		.major = r->major.has ? r->major.v : DEVICE_ANY,
		.minor = r->minor.has ? r->minor.v : DEVICE_ANY,
		.access = access_bits(r->access),
	};

	if (x.type == 'a') { /* all devices, all access: a new start, whatever else it says */
		s->default_allow = r->allow;
		s->n = 0;
		return 0;
	}
	if (r->allow == s->default_allow)
		return remove_exception(a, s, &x, e);
	add_exception(s, &x);
	return 0;
}

int device_set_build(struct arena *a, const struct oci_device_rule *rules, size_t n,
		     struct device_set *ret, struct err *e)
{
	*ret = (struct device_set){ .cap = n + ARRAY_LEN(defaults) };
	ret->v = arena_array(a, ret->cap, sizeof *ret->v);
	for (size_t i = 0; i < n; i++)
		if (apply(a, ret, &rules[i], e) < 0)
			return -1;
	for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
		struct err narrower = { 0 };

		if (!ret->default_allow)
			add_exception(ret, &defaults[i]);
		else /* a wider denial was meant as it stands */
			(void)remove_exception(a, ret, &defaults[i], &narrower);
	}
	return 0;
}

int device_set_write_v1(const struct device_set *s, int dirfd, const char *path, bool is_new,
			struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	const char *reset = s->default_allow ? "devices.allow" : "devices.deny";
	const char *file = s->default_allow ? "devices.deny" : "devices.allow";
	int r = 0;

	/* A new folder has what its parent has; "all" may be more than that, and refused. */
	if (!is_new || !s->default_allow)
		r = cg_write(dirfd, reset, "a");
	if (r < 0)
		return err_sys(e, -r, "cannot write a to %s/%s", path, reset);
	for (size_t i = 0; i < s->n; i++) {
		const char *text = device_exception_text(a, &s->v[i]);

		r = cg_write(dirfd, file, text);
		if (r < 0)
			return err_sys(e, -r, "cannot write %s to %s/%s", text, path, file);
	}
	return 0;
}
