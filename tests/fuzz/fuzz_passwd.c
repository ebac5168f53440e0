/* An image's passwd and group, and the user that it names.  The input is "USER\fPASSWD\fGROUP". */
#include "base/num.h"
#include "oci/generate.h"
#include "runtime/passwd.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A number stays that number, whatever the files call by it. */
static void check_user(const char *user, const struct oci_user *u)
{
	AUTO_FREE char *uid = xstrndup(user, strcspn(user, ":"));
	const char *gid = user + strlen(uid);
	uint64_t want;

	if (num_u64(uid, &want) == 0 && want != u->uid)
		__builtin_trap();
	if (*gid == ':' && num_u64(gid + 1, &want) == 0 && want != u->gid)
		__builtin_trap();
	if (u->uid > INT32_MAX || u->gid > INT32_MAX)
		__builtin_trap();
	if (!u->n_additional_gids || u->additional_gids[0] != u->gid)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_FREE char *text = xstrndup((const char *)data, n);
	char *passwd = strchr(text, '\f'), *group = passwd ? strchr(passwd + 1, '\f') : NULL;
	struct oci_user user = { 0 };
	struct err e = { 0 };

	if (passwd)
		*passwd++ = 0;
	if (group)
		*group++ = 0;
	if (generate_user(a, text, passwd, group, &user, &e) == 0)
		check_user(*text ? text : "0", &user);
	else if (!e.code || !e.msg[0])
		__builtin_trap();
	for (uint32_t uid = 0; uid < 3; uid++) {
		AUTO_FREE char *name = passwd_find(passwd ? passwd : "", uid, 0);
		AUTO_FREE char *home = passwd_find(passwd ? passwd : "", uid, 5);

		/* what goes into the environment is one line of the file, and one field of it */
		if ((name && strpbrk(name, ":\n")) || (home && strpbrk(home, ":\n")))
			__builtin_trap();
	}
	return 0;
}
