#include "cmd/runc/cli.h"

#include "base/mem.h"
#include "base/num.h"

#include <errno.h>
#include <string.h>

/* Every command takes it; its table does not have to say so. */
static const struct option help_option = { "help", "h", OPTION_BOOL, offsetof(struct options, help),
					   NULL };

static const struct option *find(const struct option *table, const char *name, size_t n,
				 size_t *ret_index)
{
	for (size_t i = 0; table[i].name; i++) {
		*ret_index = i;
		if (strlen(table[i].name) == n && memcmp(table[i].name, name, n) == 0)
			return &table[i];
		if (table[i].alias && n == 1 && table[i].alias[0] == name[0])
			return &table[i];
	}
	*ret_index = 63; /* help's bit: no table is that long */
	if ((n == 4 && memcmp(name, "help", 4) == 0) || (n == 1 && *name == 'h'))
		return &help_option;
	return NULL;
}

bool cli_parse_bool(const char *text, bool *ret)
{
	static const char *const yes[] = { "1", "t", "T", "true", "TRUE", "True" };
	static const char *const no[] = { "0", "f", "F", "false", "FALSE", "False" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
			*ret = strcmp(text, yes[i]) == 0;
			return true;
		}
	return false;
}

static int check_number(const char *name, const char *value, struct err *e)
{
	int64_t n;
	int r = num_i64(value, &n);

	if (r == 0)
		return 0;
	return err_set(e, ERR_INVALID_ARGUMENT,
		       "invalid value \"%s\" for flag -%s: strconv.ParseInt: parsing \"%s\": %s",
		       value, name, value, r == -ERANGE ? "value out of range" : "invalid syntax");
}

/* name: as it was written, the alias or the whole. */
static int set(const struct option *o, void *opts, const char *name, const char *value,
	       struct err *e)
{
	void *at = (char *)opts + o->at;

	switch (o->type) {
	case OPTION_BOOL:
		if (!cli_parse_bool(value ? value : "true", at))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid boolean value \"%s\" for -%s: parse error", value,
				       o->name);
		return 0;
	case OPTION_STRING:
		*(const char **)at = value;
		return 0;
	case OPTION_NUMBERS:
		if (check_number(name, value, e) < 0)
			return -1;
		strv_add(at, value);
		return 0;
	case OPTION_LIST:
		strv_add(at, value);
		return 0;
	case OPTION_INT:
		if (num_i32(value, at) < 0)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid value \"%s\" for flag -%s: parse error", value,
				       o->name);
		return 0;
	}
	BUG("unknown option type");
}

/* One option at argv[0]; returns how many words it took, 0 for a word that is none. */
static int parse_one(const struct option *table, int argc, char **argv, bool must_be, void *opts,
		     uint64_t *given, struct err *e)
{
	const char *name = argv[0] + 1 + (argv[0][1] == '-');
	size_t n = strcspn(name, "="), index;
	const struct option *o = find(table, name, n, &index);

	if (!o && !must_be)
		return 0;
	if (!o)
		return err_set(e, ERR_INVALID_ARGUMENT, "flag provided but not defined: -%.*s",
			       (int)n, name);
	const char *value = name[n] == '=' ? name + n + 1 : NULL;
	bool is_next = !value && o->type != OPTION_BOOL;
	if (is_next && argc < 2)
		return err_set(e, ERR_INVALID_ARGUMENT, "flag needs an argument: -%.*s", (int)n,
			       name);
	AUTO_FREE char *written = xstrndup(name, n);

	if (set(o, opts, written, is_next ? argv[1] : value, e) < 0)
		return -1;
	if (given)
		*given |= UINT64_C(1) << index;
	return 1 + is_next;
}

int cli_parse(const struct option *table, int argc, char **argv, bool any_order, void *opts,
	      uint64_t *given, char **args, struct err *e)
{
	int n_args = 0, i = 0;

	while (i < argc) {
		bool is_dashes = strcmp(argv[i], "--") == 0;
		int used = 0;

		if (is_dashes || (n_args && !any_order)) {
			i += is_dashes && !n_args;
			break;
		}
		if (argv[i][0] == '-' && argv[i][1])
			used = parse_one(table, argc - i, argv + i, !n_args, opts, given, e);
		if (used < 0)
			return -1;
		if (!used)
			args[n_args++] = argv[i];
		i += used ? used : 1;
	}
	while (i < argc)
		args[n_args++] = argv[i++];
	args[n_args] = NULL;
	return n_args;
}

bool cli_was_given(const struct invocation *in, const char *name)
{
	size_t index;

	return find(in->command->options, name, strlen(name), &index) &&
	       (in->given & (UINT64_C(1) << index));
}
