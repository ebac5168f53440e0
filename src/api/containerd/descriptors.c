#include "api/containerd/descriptors.h"

#include "base/macros.h"

#include <string.h>

/* Made by tools/descriptors.py. */
extern const unsigned char api_descriptors[];
extern const size_t api_descriptors_size;

/* Field numbers of descriptor.proto. */
enum {
	SET_FILE = 1,
	FILE_NAME = 1,
	FILE_PACKAGE = 2,
	FILE_IMPORT = 3,
	FILE_MESSAGE = 4,
	FILE_ENUM = 5,
	FILE_SERVICE = 6,
	ANY_NAME = 1, /* of a message, field, enum, value, service, method, oneof */
	MESSAGE_FIELD = 2,
	MESSAGE_NESTED = 3,
	MESSAGE_ENUM = 4,
	MESSAGE_ONEOF = 8,
	MEMBER = 2, /* an enum's values, a service's methods */
	WIRE_VARINT = 0,
	WIRE_BYTES = 2,
};

/* What we made ourselves: it is well-formed. */
struct field {
	uint32_t number;
	const uint8_t *p; /* its bytes; NULL for a number */
	size_t n;
};

static uint64_t varint(const uint8_t **p)
{
	uint64_t v = 0;

	for (int shift = 0;; shift += 7) {
		uint8_t b = *(*p)++;

		v |= (uint64_t)(b & 127) << shift;
		if (b < 128)
			return v;
	}
}

static bool next(const uint8_t **p, const uint8_t *end, struct field *f)
{
	if (*p >= end)
		return false;
	uint64_t tag = varint(p);

	*f = (struct field){ .number = (uint32_t)(tag >> 3) };
	f->n = (size_t)varint(p);
	if ((tag & 7) == WIRE_BYTES) {
		f->p = *p;
		*p += f->n;
	}
	return true;
}

static bool find(const uint8_t *p, size_t n, uint32_t number, struct field *f)
{
	const uint8_t *end = p + n;

	while (next(&p, end, f))
		if (f->number == number && f->p)
			return true;
	return false;
}

static bool is_text(const struct field *f, const char *s)
{
	return strlen(s) == f->n && memcmp(s, f->p, f->n) == 0;
}

struct descriptor_file descriptors_file(int i)
{
	const uint8_t *p = api_descriptors, *end = p + api_descriptors_size;
	struct field f;

	while (next(&p, end, &f))
		if (f.number == SET_FILE && i-- == 0)
			return (struct descriptor_file){ f.p, f.n };
	return (struct descriptor_file){ NULL, 0 };
}

static int by_name(const uint8_t *name, size_t n)
{
	struct descriptor_file d;
	struct field f;

	for (int i = 0; name && (d = descriptors_file(i)).p; i++)
		if (find(d.p, d.n, FILE_NAME, &f) && f.n == n && memcmp(f.p, name, n) == 0)
			return i;
	return -1;
}

int descriptors_by_name(const char *name)
{
	return by_name((const uint8_t *)name, strlen(name));
}

size_t descriptors_imports(int i, int *ret)
{
	struct descriptor_file d = descriptors_file(i);
	const uint8_t *p = d.p, *end = d.p + d.n;
	struct field f;
	size_t n = 0;

	while (next(&p, end, &f))
		if (f.number == FILE_IMPORT && n < DESCRIPTORS_MAX &&
		    (ret[n] = by_name(f.p, f.n)) >= 0)
			n++;
	return n;
}

/* --- by what they define --- */

/* What follows f's name and a "." in s; "" when s is the name; NULL when it is another's. */
static const char *behind(const char *s, const struct field *name)
{
	if (strncmp(s, (const char *)name->p, name->n) != 0)
		return NULL;
	s += name->n;
	return *s == '.' ? s + 1 : *s ? NULL : s;
}

static bool has_member(const struct field *owner, uint32_t member, const char *s)
{
	const uint8_t *p = owner->p, *end = p + owner->n;
	struct field f, name;

	while (next(&p, end, &f))
		if (f.number == member && find(f.p, f.n, ANY_NAME, &name) && is_text(&name, s))
			return true;
	return false;
}

/* An enum or a service, or one of its members. */
static bool is_group(const struct field *group, const char *s)
{
	struct field name;
	const char *rest = find(group->p, group->n, ANY_NAME, &name) ? behind(s, &name) : NULL;

	return rest && (!*rest || has_member(group, MEMBER, rest));
}

static bool is_message(const struct field *m, const char *s)
{
	const uint8_t *p = m->p, *end = p + m->n;
	struct field f;
	const char *rest = find(m->p, m->n, ANY_NAME, &f) ? behind(s, &f) : NULL;

	if (!rest)
		return false;
	if (!*rest || has_member(m, MESSAGE_FIELD, rest) || has_member(m, MESSAGE_ONEOF, rest))
		return true;
	while (next(&p, end, &f)) {
		if (f.number == MESSAGE_NESTED && is_message(&f, rest))
			return true;
		/* an enum's values are known by the name of what it stands in */
		if (f.number == MESSAGE_ENUM &&
		    (is_group(&f, rest) || has_member(&f, MEMBER, rest)))
			return true;
	}
	return false;
}

static bool defines(struct descriptor_file d, const char *symbol)
{
	const uint8_t *p = d.p, *end = p + d.n;
	struct field f;
	const char *s = find(d.p, d.n, FILE_PACKAGE, &f) ? behind(symbol, &f) : symbol;

	while (s && *s && next(&p, end, &f)) {
		if (f.number == FILE_MESSAGE && is_message(&f, s))
			return true;
		if ((f.number == FILE_ENUM || f.number == FILE_SERVICE) && is_group(&f, s))
			return true;
		if (f.number == FILE_ENUM && has_member(&f, MEMBER, s))
			return true;
	}
	return false;
}

int descriptors_by_symbol(const char *symbol)
{
	struct descriptor_file d;

	for (int i = 0; (d = descriptors_file(i)).p; i++)
		if (defines(d, symbol))
			return i;
	return -1;
}
