#include "store/db.h"

#include "base/mem.h"
#include "base/sha256.h"

#include <string.h>

static void key_add(struct key *k, const void *p, size_t n)
{
	if (n > sizeof k->bytes - k->n)
		BUG("key with too many names");
	memcpy(k->bytes + k->n, p, n);
	k->n += n;
}

static void key_add_name(struct key *k, const char *name)
{
	char hex[SHA256_HEX + 1];
	size_t n = strlen(name);

	if (n <= KEY_NAME_MAX && name[0] != '\1') {
		key_add(k, name, n);
		return;
	}
	sha256_of(name, n, hex);
	key_add(k, "\1", 1);
	key_add(k, hex, SHA256_HEX);
}

struct key db_key(const char *const *names)
{
	struct key k = { .n = 0 };

	for (size_t i = 0; names[i]; i++) {
		if (i)
			key_add(&k, "", 1);
		key_add_name(&k, names[i]);
	}
	return k;
}

struct key db_prefix(const char *const *names)
{
	struct key k = db_key(names);

	if (names[0])
		key_add(&k, "", 1);
	return k;
}
