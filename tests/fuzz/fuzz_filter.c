/* Filters of List calls and subscriptions, and the regular expressions in them. */
#include "base/filter.h"
#include "base/mem.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char *get(const void *obj, const char *const *path, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!path[i])
			__builtin_trap();
	return filter_path_is(path, n, "a.b") ? obj : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_FREE char *text = xstrndup((const char *)data, n);
	const char *const texts[] = { text };
	AUTO_FILTER struct filter_set *f = NULL;
	struct err e = { 0 };

	if (filter_compile(texts, 1, &f, &e) == 0)
		(void)filter_match(f, get, text); /* may be either */
	else if (e.code != ERR_INVALID_ARGUMENT || !e.msg[0] || f)
		__builtin_trap();
	return 0;
}
