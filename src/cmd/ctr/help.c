/* Help texts, laid out as the original's command line library does. */
#include "cmd/ctr/cli.h"

struct columns {
	FILE *out;
	size_t width; /* of the left one */
};

static void flag_left(const struct flag *f, struct str *s)
{
	const char *word = f->value ? f->value : "value";

	str_addf(s, "%s%s", strlen(f->name) > 1 ? "--" : "-", f->name);
	if (f->type != FLAG_BOOL)
		str_addf(s, " %s", word);
	if (!f->alias)
		return;
	str_addf(s, ", -%s", f->alias);
	if (f->type != FLAG_BOOL)
		str_addf(s, " %s", word);
}

static void flag_right(const struct flag *f, struct str *s)
{
	const char *quote = f->type == FLAG_STRING ? "\"" : "";

	str_add(s, f->help);
	if (f->def)
		str_addf(s, " (default: %s%s%s)", quote, f->def, quote);
	if (f->env)
		str_addf(s, " [$%s]", f->env);
	if (f->missing)
		str_addf(s, " (%s)", f->missing);
}

static void print_line(const struct columns *c, const char *left, const char *right)
{
	fprintf(c->out, "   %-*s  %s\n", (int)c->width, left, right);
}

typedef void flag_fn(struct columns *c, const struct flag *f);

static void each_flag(const struct command *c, flag_fn *fn, struct columns *col)
{
	for (size_t t = 0; t < COMMAND_TABLES && c->flags[t]; t++)
		for (const struct flag *f = c->flags[t]; f->name; f++)
			fn(col, f);
}

static void measure_flag(struct columns *c, const struct flag *f)
{
	struct str left AUTO_STR = STR_INIT(512);

	flag_left(f, &left);
	if (left.len > c->width)
		c->width = left.len;
}

static void print_flag(struct columns *c, const struct flag *f)
{
	struct str left AUTO_STR = STR_INIT(512), right AUTO_STR = STR_INIT(4096);

	flag_left(f, &left);
	flag_right(f, &right);
	print_line(c, str_c(&left), str_c(&right));
}

static const struct flag help_flags[] = {
	{ "help", FLAG_BOOL, "h", "show help" },
	{ NULL },
};

static const struct flag version_flags[] = {
	{ "version", FLAG_BOOL, "v", "print the version" },
	{ NULL },
};

static void print_flags(FILE *out, const struct command *c, const char *title,
			const struct flag *more, const struct flag *still_more)
{
	struct columns col = { out, 0 };
	struct command all = *c;
	size_t n = 0;

	while (n < COMMAND_TABLES - 3 && all.flags[n])
		n++;
	if (more)
		all.flags[n++] = more;
	if (still_more)
		all.flags[n++] = still_more;
	fprintf(out, "\n%s:\n", title);
	each_flag(&all, measure_flag, &col);
	each_flag(&all, print_flag, &col);
}

static void command_left(const struct command *c, struct str *s)
{
	str_add(s, c->name);
	for (const char *p = c->aliases; p && *p;) {
		size_t n = strcspn(p, " ");

		str_addf(s, ", %.*s", (int)n, p);
		p += n + (p[n] == ' ');
	}
}

static void print_commands(FILE *out, const struct command *list)
{
	struct columns col = { out, 0 };

	fputs("\nCOMMANDS:\n", out);
	for (const struct command *c = list; c->name; c++) {
		struct str left AUTO_STR = STR_INIT(256);

		command_left(c, &left);
		if (left.len > col.width)
			col.width = left.len;
	}
	for (const struct command *c = list; c->name; c++) {
		struct str left AUTO_STR = STR_INIT(256);

		command_left(c, &left);
		print_line(&col, str_c(&left), c->usage);
	}
}

void help_command(FILE *out, const struct command *c, const char *path)
{
	fprintf(out, "NAME:\n   %s - %s\n\nUSAGE:\n   %s%s %s\n", path, c->usage, path,
		c->flags[0] ? " [command options]" : "",
		c->args_usage ? c->args_usage : "[arguments...]");
	if (c->description)
		fprintf(out, "\nDESCRIPTION:\n   %s\n", c->description);
	if (!c->flags[0])
		return;
	print_flags(out, c, "OPTIONS", NULL, NULL);
	fputs("   \n", out);
}

void help_group(FILE *out, const struct command *c, const char *path)
{
	fprintf(out,
		"NAME:\n   %s - %s\n\nUSAGE:\n   %s command [command options] [arguments...]\n",
		path, c->usage, path);
	print_commands(out, c->commands);
	print_flags(out, c, "OPTIONS", help_flags, NULL);
}

void help_app(FILE *out, const struct command *app)
{
	fprintf(out,
		"NAME:\n   ctr - %s\n\nUSAGE:\n   ctr [global options] command [command options] "
		"[arguments...]\n\nVERSION:\n   %s\n\nDESCRIPTION:\n   %s\n",
		app->usage, CASCO_VERSION, app->description);
	print_commands(out, app->commands);
	print_flags(out, app, "GLOBAL OPTIONS", help_flags, version_flags);
}
