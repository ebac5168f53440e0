/* Commands and options as tables: one table a command makes its parser and its help text.
 *
 * The grammar is that of Go's flag package, which the original uses: "-x" and "--x" are the same,
 * "--x=v" and "--x v" too, booleans take "=false", options end at the first argument that is none
 * (or at "--").  Values are looked up by the option's long name; a name that is in none of the
 * command's tables is our own bug. */
#pragma once

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdio.h>

enum flag_type {
	FLAG_BOOL,
	FLAG_STRING,
	FLAG_LIST, /* may be given often */
	FLAG_INT, /* int64_t */
	FLAG_UINT,
	FLAG_FLOAT,
	FLAG_DURATION, /* Go's: "1h30m", "500ms"; kept as nanoseconds */
};

struct flag {
	const char *name;
	enum flag_type type;
	const char *alias; /* one letter, or NULL */
	const char *help;
	const char *def; /* the value when absent, as text; shown by help */
	const char *env; /* environment variable that gives the value when absent */
	const char *value; /* the value's word in help; NULL: "value" */
	const char *missing; /* what is known but not done yet: the reason, an error when used */
};

struct ctr;
struct args;
typedef int command_fn(struct ctr *ctr, const struct args *args, struct err *e);

enum { COMMAND_TABLES = 6 };

struct command {
	const char *name, *aliases; /* aliases: "ls" or "del remove rm", or NULL */
	const char *usage; /* one line */
	const char *args_usage; /* "[flags] CONTAINER" */
	const char *description;
	const struct flag *flags[COMMAND_TABLES]; /* tables, each ended by a NULL name */
	const struct command *commands; /* a group: ended by a NULL name */
	command_fn *run;
};

/* One command line, parsed.  Borrowed from argv and the arena. */
struct args {
	const struct command *command;
	struct flag_value *values;
	size_t n_values, cap_values;
	const struct args *group; /* the options of the group the command is in, or NULL */
	const char *const *v; /* the arguments behind the options, NULL-terminated */
	size_t n;
	struct arena *arena;
};

/* Parses argv behind the command's name.  ERR_INVALID_ARGUMENT with the original's sentence.
 * *ret_help: -h or --help was there. */
int args_parse(struct arena *a, const struct command *c, const char *const *argv, struct args *ret,
	       bool *ret_help, struct err *e);

bool args_is_set(const struct args *a, const char *name); /* given by option or environment */
bool args_bool(const struct args *a, const char *name);
const char *args_string(const struct args *a, const char *name); /* "" when absent */
/* NULL-terminated; never NULL. ret_n may be NULL. */
const char *const *args_list(const struct args *a, const char *name, size_t *ret_n);
int64_t args_int(const struct args *a, const char *name);
uint64_t args_uint(const struct args *a, const char *name);
double args_float(const struct args *a, const char *name);
uint64_t args_duration(const struct args *a, const char *name); /* ns */

/* The i-th argument or "". */
const char *args_at(const struct args *a, size_t i);

/* Go's durations; 0 or -EINVAL. */
int duration_parse(const char *s, uint64_t *ret_ns);

/* The command that word names in the group, by name or alias; NULL when none. */
const struct command *command_find(const struct command *list, const char *word);

/* Help as the original prints it.  path: "ctr tasks kill". */
void help_command(FILE *out, const struct command *c, const char *path);
void help_group(FILE *out, const struct command *c, const char *path);
void help_app(FILE *out, const struct command *app);
