/* Help texts, in the shape that the original's have: scripts cut flags and commands out of them. */
#include "cmd/runc/cli.h"

#include "oci/spec.h"
#include "revision.h"
#include "runtime/seccomp.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* "--bundle value, -b value" */
static void option_head(const struct option *o, struct str *out)
{
	const char *value = o->type == OPTION_BOOL ? "" : " value";

	str_addf(out, "--%s%s", o->name, value);
	if (o->alias)
		str_addf(out, ", -%s%s", o->alias, value);
}

static bool has_options(const struct option *table)
{
	for (size_t i = 0; table[i].name; i++)
		if (table[i].help)
			return true;
	return false;
}

static void print_options(const struct option *table, struct str *out)
{
	size_t width = 0;

	for (size_t i = 0; table[i].name; i++) {
		AUTO_STR struct str head = STR_INIT(256);

		option_head(&table[i], &head);
		if (table[i].help && head.len > width)
			width = head.len;
	}
	for (size_t i = 0; table[i].name; i++) {
		AUTO_STR struct str head = STR_INIT(256);

		option_head(&table[i], &head);
		if (table[i].help)
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
	bool options = has_options(c->options);

	str_addf(&out, "NAME:\n   runc %s - %s\n\nUSAGE:\n   runc %s %s%s\n", c->name, c->summary,
		 c->name, options ? "[command options] " : "", c->usage);
	if (c->description)
		str_addf(&out, "\nDESCRIPTION:\n%s\n", c->description);
	if (options) {
		str_add(&out, "\nOPTIONS:\n");
		print_options(c->options, &out);
		str_add(&out, "   \n");
	}
	print(fd, &out);
}

void cli_help_global(int fd)
{
	AUTO_STR struct str out = STR_INIT(1 << 16);

	str_add(&out,
		"NAME:\n   runc - Open Container Initiative runtime\n\n"
		"runc runs containers from bundles: a bundle is a folder with a config.json and\n"
		"a root file system. `runc spec` writes a first config.json; `runc run ID` runs\n"
		"the container of the bundle in the current folder.\n\n"
		"USAGE:\n   runc [global options] command [command options] [arguments...]\n\n"
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
	char seccomp[32];

	printf("runc version %s (casco)\ncommit: %s\nspec: %s\nlibseccomp: %s\n", CASCO_VERSION,
	       REVISION, OCI_SPEC_VERSION, seccomp_library_version(seccomp, sizeof seccomp));
}
