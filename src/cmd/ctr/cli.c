#include "cmd/ctr/cli.h"

#include "base/num.h"

#include <errno.h>

struct flag_value {
	const struct flag *flag;
	const char *text;
};

static const struct flag *find_flag(const struct command *c, const char *name, size_t n)
{
	for (size_t t = 0; t < COMMAND_TABLES && c->flags[t]; t++)
		for (const struct flag *f = c->flags[t]; f->name; f++)
			if ((strlen(f->name) == n && !memcmp(f->name, name, n)) ||
			    (f->alias && strlen(f->alias) == n && !memcmp(f->alias, name, n)))
				return f;
	return NULL;
}

static const struct flag *known_flag(const struct args *a, const char *name)
{
	const struct flag *f = find_flag(a->command, name, strlen(name));

	if (!f)
		BUG(name);
	return f;
}

static bool parse_bool(const char *s, bool *ret)
{
	static const char *const words[2][6] = {
		{ "0", "f", "F", "false", "FALSE", "False" },
		{ "1", "t", "T", "true", "TRUE", "True" },
	};

	for (int v = 0; v < 2; v++)
		for (size_t i = 0; i < ARRAY_LEN(words[v]); i++)
			if (!strcmp(s, words[v][i])) {
				*ret = v;
				return true;
			}
	return false;
}

static bool parse_float(const char *s, double *ret)
{
	char *end;

	errno = 0;
	*ret = strtod(s, &end);
	return *s && !*end && !errno && *s != ' ' && *ret == *ret;
}

int duration_parse(const char *s, uint64_t *ret_ns)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = { { "ns", 1 },  { "us", 1e3 }, { "ms", 1e6 },
		      { "s", 1e9 }, { "m", 60e9 }, { "h", 3600e9 } };
	double total = 0, v;
	size_t n, i;
	char *end;

	if (!strcmp(s, "0")) {
		*ret_ns = 0;
		return 0;
	}
	if (!*s)
		return -EINVAL;
	for (; *s; s = end + n) {
		if (!strchr("0123456789.", *s))
			return -EINVAL;
		v = strtod(s, &end);
		n = strcspn(end, "0123456789.");
		for (i = 0; i < ARRAY_LEN(units); i++)
			if (strlen(units[i].unit) == n && !memcmp(units[i].unit, end, n))
				break;
		if (end == s || i == ARRAY_LEN(units))
			return -EINVAL;
		total += v * units[i].ns;
	}
	if (!(total < 9.2e18))
		return -EINVAL;
	*ret_ns = (uint64_t)total;
	return 0;
}

static bool value_fits(const struct flag *f, const char *text)
{
	double d;
	uint64_t u;
	int64_t i;
	bool b;

	switch (f->type) {
	case FLAG_BOOL:
		return parse_bool(text, &b);
	case FLAG_INT:
		return num_i64(text, &i) == 0;
	case FLAG_UINT:
		return num_u64(text, &u) == 0;
	case FLAG_FLOAT:
		return parse_float(text, &d);
	case FLAG_DURATION:
		return duration_parse(text, &u) == 0;
	case FLAG_STRING:
	case FLAG_LIST:
		break;
	}
	return true;
}

static int set_value(struct args *a, const struct flag *f, const char *name, const char *text,
		     struct err *e)
{
	struct flag_value *bigger;

	if (!value_fits(f, text))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid value \"%s\" for flag -%s: parse error", text, name);
	if (a->n_values == a->cap_values) {
		a->cap_values = a->cap_values ? a->cap_values * 2 : 16;
		bigger = arena_array(a->arena, a->cap_values, sizeof *bigger);
		if (a->n_values)
			memcpy(bigger, a->values, a->n_values * sizeof *bigger);
		a->values = bigger;
	}
	a->values[a->n_values++] = (struct flag_value){ f, text };
	return 0;
}

/* One "-x", "--x" or "--x=v" at *argv; moves *argv behind it and its value. */
static int parse_flag(struct args *a, const char *const **argv, bool *help, struct err *e)
{
	const char *word = *(*argv)++, *name = word + 1 + (word[1] == '-'), *text;
	size_t n = strcspn(name, "=");
	const struct flag *f;

	if (!n || *name == '-')
		return err_set(e, ERR_INVALID_ARGUMENT, "bad flag syntax: %s", word);
	f = find_flag(a->command, name, n);
	name = arena_strndup(a->arena, name, n);
	text = strchr(word, '=');
	if (!f && (!strcmp(name, "help") || !strcmp(name, "h"))) {
		*help = true;
		return 0;
	}
	if (!f)
		return err_set(e, ERR_INVALID_ARGUMENT, "flag provided but not defined: -%s", name);
	if (text)
		text++;
	else if (f->type == FLAG_BOOL)
		text = "true";
	else if (!**argv)
		return err_set(e, ERR_INVALID_ARGUMENT, "flag needs an argument: -%s", name);
	else
		text = *(*argv)++;
	return set_value(a, f, name, text, e);
}

static int check_missing(const struct args *a, struct err *e)
{
	bool on;

	for (size_t i = 0; i < a->n_values; i++) {
		const struct flag_value *v = &a->values[i];

		if (!v->flag->missing)
			continue;
		if (v->flag->type == FLAG_BOOL && parse_bool(v->text, &on) && !on)
			continue;
		return err_set(e, ERR_UNIMPLEMENTED, "option --%s is %s", v->flag->name,
			       v->flag->missing);
	}
	return 0;
}

int args_parse(struct arena *a, const struct command *c, const char *const *argv, struct args *ret,
	       bool *ret_help, struct err *e)
{
	*ret = (struct args){ .command = c, .arena = a };
	while (*argv && **argv == '-' && (*argv)[1]) {
		if (!strcmp(*argv, "--")) {
			argv++;
			break;
		}
		if (parse_flag(ret, &argv, ret_help, e) < 0)
			return -1;
		if (*ret_help)
			return 0;
	}
	ret->v = argv;
	while (argv[ret->n])
		ret->n++;
	return check_missing(ret, e);
}

/* The text of a value: the last one given, the environment's, or NULL. */
static const char *given(const struct args *a, const struct flag *f)
{
	const char *text;

	for (size_t i = a->n_values; i > 0; i--)
		if (a->values[i - 1].flag == f)
			return a->values[i - 1].text;
	text = f->env ? getenv(f->env) : NULL;
	return text && *text && value_fits(f, text) ? text : NULL;
}

static const char *text_of(const struct args *a, const char *name, const char *none)
{
	const struct flag *f = known_flag(a, name);
	const char *text = given(a, f);

	return text ? text : f->def ? f->def : none;
}

bool args_is_set(const struct args *a, const char *name)
{
	return given(a, known_flag(a, name));
}

bool args_bool(const struct args *a, const char *name)
{
	bool v = false;

	parse_bool(text_of(a, name, "false"), &v);
	return v;
}

const char *args_string(const struct args *a, const char *name)
{
	return text_of(a, name, "");
}

const char *const *args_list(const struct args *a, const char *name, size_t *ret_n)
{
	const struct flag *f = known_flag(a, name);
	const char **v = arena_array(a->arena, a->n_values + 1, sizeof *v);
	size_t n = 0;

	for (size_t i = 0; i < a->n_values; i++)
		if (a->values[i].flag == f)
			v[n++] = a->values[i].text;
	if (ret_n)
		*ret_n = n;
	return v;
}

int64_t args_int(const struct args *a, const char *name)
{
	int64_t v = 0;

	(void)num_i64(text_of(a, name, "0"), &v); /* it was checked when it was parsed */
	return v;
}

uint64_t args_uint(const struct args *a, const char *name)
{
	uint64_t v = 0;

	(void)num_u64(text_of(a, name, "0"), &v); /* as above */
	return v;
}

double args_float(const struct args *a, const char *name)
{
	double v = 0;

	parse_float(text_of(a, name, "0"), &v);
	return v;
}

uint64_t args_duration(const struct args *a, const char *name)
{
	uint64_t v = 0;

	(void)duration_parse(text_of(a, name, "0"), &v); /* as above */
	return v;
}

const char *args_at(const struct args *a, size_t i)
{
	return i < a->n ? a->v[i] : "";
}

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word), k;

	for (; words && *words; words += k + (words[k] == ' ')) {
		k = strcspn(words, " ");
		if (k == n && !memcmp(words, word, n))
			return true;
	}
	return false;
}

const struct command *command_find(const struct command *list, const char *word)
{
	for (; list->name; list++)
		if (!strcmp(list->name, word) || (*word && has_word(list->aliases, word)))
			return list;
	return NULL;
}
