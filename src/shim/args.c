#include "shim/args.h"

#include "base/num.h"
#include "base/str.h"

#include <string.h>

enum flag_kind { FLAG_TEXT, FLAG_BOOL };

struct flag {
	const char *name;
	enum flag_kind kind;
	size_t at;
};

#define TEXT(n, member)                                          \
	{                                                        \
		n, FLAG_TEXT, offsetof(struct shim_args, member) \
	}
#define BOOL(n, member)                                          \
	{                                                        \
		n, FLAG_BOOL, offsetof(struct shim_args, member) \
	}

static const struct flag flags[] = {
	TEXT("namespace", ns),
	TEXT("id", id),
	TEXT("bundle", bundle),
	TEXT("address", address),
	TEXT("publish-binary", publish_binary),
	TEXT("socket", socket),
	TEXT("debug-socket", debug_socket),
	BOOL("debug", debug),
	BOOL("info", info),
	BOOL("v", version),
};

static const struct flag *flag_find(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if (strlen(flags[i].name) == n && strncmp(flags[i].name, name, n) == 0)
			return &flags[i];
	return NULL;
}

/* The words that Go's strconv.ParseBool takes. */
static int bool_parse(const char *s, bool *ret)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (strcmp(s, yes[i]) == 0)
			return *ret = true, 0;
		if (strcmp(s, no[i]) == 0)
			return *ret = false, 0;
	}
	return -1;
}

/* argv[*at] is a flag; takes its value too where that is the next word. */
static int flag_take(int argc, char **argv, int *at, struct shim_args *ret, struct err *e)
{
	const char *word = argv[*at], *name = word + (word[1] == '-' ? 2 : 1);
	const char *equals = strchr(name, '=');
	size_t n = equals ? (size_t)(equals - name) : strlen(name);

	if (!n || name[0] == '-' || name[0] == '=')
		return err_set(e, ERR_INVALID_ARGUMENT, "bad flag syntax: %s", word);

	const struct flag *f = flag_find(name, n);

	if (!f)
		return err_set(e, ERR_INVALID_ARGUMENT, "flag provided but not defined: -%.*s",
			       (int)n, name);

	void *slot = (char *)ret + f->at;

	if (f->kind == FLAG_BOOL) {
		*(bool *)slot = true;
		if (equals && bool_parse(equals + 1, slot) < 0)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid boolean value \"%s\" for -%s: parse error",
				       equals + 1, f->name);
		return 0;
	}
	if (!equals && *at + 1 >= argc)
		return err_set(e, ERR_INVALID_ARGUMENT, "flag needs an argument: -%s", f->name);
	*(const char **)slot = equals ? equals + 1 : argv[++*at];
	return 0;
}

int shim_args_parse(int argc, char **argv, struct shim_args *ret, struct err *e)
{
	const char *max = getenv("MAX_SHIM_VERSION");
	int at = 1;

	*ret = (struct shim_args){ .ns = "",
				   .id = "",
				   .bundle = "",
				   .address = "",
				   .publish_binary = "",
				   .socket = "",
				   .debug_socket = "",
				   .action = "" };
	for (; at < argc && argv[at][0] == '-' && argv[at][1]; at++) {
		if (strcmp(argv[at], "--") == 0) {
			at++;
			break;
		}
		if (flag_take(argc, argv, &at, ret, e) < 0)
			return -1;
	}
	if (at < argc)
		ret->action = argv[at];
	ret->ttrpc_address = getenv("TTRPC_ADDRESS");
	ret->has_grpc_address = getenv("GRPC_ADDRESS") != NULL;
	ret->has_max_version = max && num_u32(max, &ret->max_version) == 0;
	return 0;
}
