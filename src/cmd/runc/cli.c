#include "cmd/runc/cli.h"

#include "base/num.h"

#include <string.h>

#define SPEC_VERSION "1.2.0"

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
	return NULL;
}

static int set(const struct option *o, void *opts, const char *value, struct err *e)
{
	void *at = (char *)opts + o->at;

	switch (o->type) {
	case OPTION_BOOL:
		if (!value || strcmp(value, "true") == 0 || strcmp(value, "1") == 0)
			*(bool *)at = true;
		else if (strcmp(value, "false") == 0 || strcmp(value, "0") == 0)
			*(bool *)at = false;
		else
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "invalid boolean value \"%s\" for -%s: parse error", value,
				       o->name);
		return 0;
	case OPTION_STRING:
		*(const char **)at = value;
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

int cli_parse(const struct option *table, int argc, char **argv, void *opts, uint64_t *given,
	      struct err *e)
{
	int i;

	for (i = 0; i < argc && argv[i][0] == '-' && argv[i][1]; i++) {
		const char *name = argv[i] + 1 + (argv[i][1] == '-');
		size_t n = strcspn(name, "="), index;

		if (n == 0 && !name[0]) { /* "--" */
			i++;
			break;
		}
		const struct option *o = find(table, name, n, &index);
		if (!o)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "flag provided but not defined: -%.*s", (int)n, name);
		const char *value = name[n] == '=' ? name + n + 1 : NULL;
		if (!value && o->type != OPTION_BOOL) {
			if (++i == argc)
				return err_set(e, ERR_INVALID_ARGUMENT,
					       "flag needs an argument: -%.*s", (int)n, name);
			value = argv[i];
		}
		if (set(o, opts, value, e) < 0)
			return -1;
		if (given)
			*given |= UINT64_C(1) << index;
	}
	return i;
}

bool cli_was_given(const struct invocation *in, const char *name)
{
	size_t index;

	return find(in->command->options, name, strlen(name), &index) &&
	       (in->given & (UINT64_C(1) << index));
}

/* "--bundle value, -b value" */
static void option_head(const struct option *o, struct str *out)
{
	const char *value = o->type == OPTION_BOOL ? "" : " value";

	str_addf(out, "--%s%s", o->name, value);
	if (o->alias)
		str_addf(out, ", -%s%s", o->alias, value);
}

static void print_options(const struct option *table, struct str *out)
{
	size_t width = 0;

	for (size_t i = 0; table[i].name; i++) {
		AUTO_STR struct str head = STR_INIT(256);

		option_head(&table[i], &head);
		width = head.len > width ? head.len : width;
	}
	for (size_t i = 0; table[i].name; i++) {
		AUTO_STR struct str head = STR_INIT(256);

		option_head(&table[i], &head);
		str_addf(out, "   %-*s  %s\n", (int)width, str_c(&head), table[i].help);
	}
}

static void print(int fd, const struct str *s)
{
	(void)!write(fd, str_c(s), s->len); /* nobody to tell when even help can't be written */
}

void cli_help_command(int fd, const struct command *c)
{
	AUTO_STR struct str out = STR_INIT(1 << 16);

	str_addf(&out, "NAME:\n   runc %s - %s\n\nUSAGE:\n   runc %s %s\n\n", c->name, c->summary,
		 c->name, c->usage);
	if (c->description)
		str_addf(&out, "DESCRIPTION:\n%s\n\n", c->description);
	str_add(&out, "OPTIONS:\n");
	print_options(c->options, &out);
	str_add(&out, "   --help, -h  show help\n");
	print(fd, &out);
}

void cli_help_global(int fd)
{
	AUTO_STR struct str out = STR_INIT(1 << 16);

	str_add(&out,
		"NAME:\n   runc - Open Container Initiative runtime\n\n"
		"USAGE:\n   runc [global options] command [command options] [arguments...]\n\n"
		"runc runs containers from bundles: a bundle is a folder with a config.json and\n"
		"a root file system. `runc spec` writes a first config.json; `runc run ID` runs\n"
		"the container of the bundle in the current folder.\n\n"
		"VERSION:\n   " CASCO_VERSION "\n\nCOMMANDS:\n");
	for (size_t i = 0; commands[i]; i++)
		str_addf(&out, "   %-10s  %s\n", commands[i]->name, commands[i]->summary);
	str_add(&out, "   help, h     Shows a list of commands or help for one command\n\n"
		      "GLOBAL OPTIONS:\n");
	print_options(global_options, &out);
	print(fd, &out);
}

void cli_version(void)
{
	printf("runc version %s (casco)\nspec: %s\n", CASCO_VERSION, SPEC_VERSION);
}
