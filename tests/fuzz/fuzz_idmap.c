/* Id mappings: what is taken is written as the kernel wants it, and maps each id once. */
#include "runtime/idmap.h"

#include "base/num.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { TEXT_MAX = 4096 };

struct range {
	uint64_t inside, outside, size;
};

/* "INSIDE OUTSIDE SIZE\n"; returns behind it. */
static const char *read_range(const char *s, struct range *ret)
{
	uint64_t *at[] = { &ret->inside, &ret->outside, &ret->size };

	for (size_t i = 0; i < 3; i++) {
		size_t n = strspn(s, "0123456789");
		AUTO_FREE char *word = xstrndup(s, n);

		if (num_u64(word, at[i]) < 0 || s[n] != (i == 2 ? '\n' : ' '))
			__builtin_trap();
		s += n + 1;
	}
	return s;
}

static bool meet(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_idmapping v[IDMAP_MAX_RANGES + 1];
	struct range seen[IDMAP_MAX_RANGES];
	struct oci_idmappings m = { .v = v, .n = n / sizeof *v };
	const char *text;
	struct err e = { 0 };
	size_t count = 0;

	if (m.n > ARRAY_LEN(v))
		m.n = ARRAY_LEN(v);
	memcpy(v, data, m.n * sizeof *v);
	if (idmap_text(a, &m, &text, &e) < 0) {
		if (!e.code || !e.msg[0])
			__builtin_trap();
		return 0;
	}
	if (strlen(text) >= TEXT_MAX)
		__builtin_trap();
	for (const char *s = text; *s; count++) {
		struct range r;

		s = read_range(s, &r);
		if (count == m.n || r.size == 0 || r.inside + r.size > UINT32_MAX ||
		    r.outside + r.size > UINT32_MAX)
			__builtin_trap();
		for (size_t i = 0; i < count; i++)
			if (meet(r.inside, r.size, seen[i].inside, seen[i].size) ||
			    meet(r.outside, r.size, seen[i].outside, seen[i].size))
				__builtin_trap();
		seen[count] = r;
	}
	if (count != m.n)
		__builtin_trap();
	return 0;
}
