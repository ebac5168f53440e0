#include "net/files.h"

#include "base/mem.h"

#include <string.h>

enum { ADDRESSES_MAX = 64, WORDS_MAX = 32 };

static json_object *array_of(json_object *o, const char *key)
{
	json_object *a = NULL;
	struct err bad = { 0 };

	if (!o || !json_object_is_type(o, json_type_object) || jsonr_array(o, key, &a, &bad) < 0)
		return NULL;
	return a;
}

/* What goes into a line of such a file: no space, no control character. */
static bool is_word(const char *s)
{
	if (!*s || strlen(s) > 255)
		return false;
	for (; *s; s++)
		if ((unsigned char)*s <= ' ' || *s == 0x7f || *s == '#' || *s == ';')
			return false;
	return true;
}

/* The words of an array of strings. */
static void add_words(json_object *a, struct strv *to)
{
	for (size_t i = 0; a && i < json_object_array_length(a) && to->n < WORDS_MAX; i++) {
		json_object *o = json_object_array_get_idx(a, i);

		if (json_object_is_type(o, json_type_string) && is_word(json_object_get_string(o)))
			strv_add(to, json_object_get_string(o));
	}
}

void files_addresses(json_object *result, struct strv *ret)
{
	json_object *ips = array_of(result, "ips");

	for (size_t i = 0; ips && i < json_object_array_length(ips) && ret->n < ADDRESSES_MAX;
	     i++) {
		json_object *ip = json_object_array_get_idx(ips, i);
		const char *address = "";
		struct err bad = { 0 };

		if (json_object_is_type(ip, json_type_object) &&
		    jsonr_string(ip, "address", &address, &bad) == 0 && is_word(address))
			strv_add_take(ret, xstrndup(address, strcspn(address, "/")));
	}
}

void files_hosts(const struct strv *addresses, const char *hostname, const char *id,
		 struct str *out)
{
	bool has_name = is_word(hostname), has_id = is_word(id) && strcmp(id, hostname) != 0;

	str_add(out, "127.0.0.1\tlocalhost\n"
		     "::1\tlocalhost ip6-localhost ip6-loopback\n"
		     "ff02::1\tip6-allnodes\n"
		     "ff02::2\tip6-allrouters\n");
	for (size_t i = 0; (has_name || has_id) && i < addresses->n; i++)
		str_addf(out, "%s\t%s%s%s\n", addresses->v[i], has_name ? hostname : "",
			 has_name && has_id ? " " : "", has_id ? id : "");
}

/* --- resolv.conf --- */

static bool is_loopback(const char *server)
{
	return str_starts(server, "127.") || !strcmp(server, "::1");
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

/* The words behind a key, of all its lines; of the last line alone where the last one counts. */
static void read_lines(const char *text, const char *key, bool last_counts, struct strv *to)
{
	size_t n = strlen(key);

	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");
		AUTO_FREE char *copy = xstrndup(line, len);
		char *rest = copy, *word;

		line += len + (line[len] == '\n');
		if (strncmp(copy, key, n) != 0 || !is_space(copy[n]))
			continue;
		if (last_counts)
			strv_done(to);
		rest += n;
		while ((word = strsep(&rest, " \t\r")) && to->n < WORDS_MAX)
			if (is_word(word))
				strv_add(to, word);
	}
}

bool files_has_server(const char *resolv)
{
	struct strv servers AUTO_STRV = { 0 };

	read_lines(resolv, "nameserver", false, &servers);
	for (size_t i = 0; i < servers.n; i++)
		if (!is_loopback(servers.v[i]))
			return true;
	return false;
}

static void add_line(struct str *out, const char *key, const struct strv *words)
{
	if (!words->n)
		return;
	str_add(out, key);
	for (size_t i = 0; i < words->n; i++)
		str_addf(out, " %s", words->v[i]);
	str_addc(out, '\n');
}

static void find_search(json_object *wished, json_object *given, const char *host, struct strv *ret)
{
	const char *domain = "";
	struct err bad = { 0 };

	add_words(array_of(wished, "searches"), ret);
	if (!ret->n)
		add_words(array_of(given, "search"), ret);
	if (!ret->n && json_object_is_type(given, json_type_object) &&
	    jsonr_string(given, "domain", &domain, &bad) == 0 && is_word(domain))
		strv_add(ret, domain);
	if (!ret->n)
		read_lines(host, "search", true, ret);
	if (ret->n == 1 && !strcmp(ret->v[0], "."))
		strv_done(ret); /* "none", as resolv.conf(5) would have it */
}

void files_resolv(json_object *wished, json_object *given, const char *host, struct str *out)
{
	struct strv servers AUTO_STRV = { 0 }, search AUTO_STRV = { 0 }, options AUTO_STRV = { 0 };

	add_words(array_of(wished, "servers"), &servers);
	if (!servers.n)
		add_words(array_of(given, "nameservers"), &servers);
	if (!servers.n) {
		struct strv all AUTO_STRV = { 0 };

		read_lines(host, "nameserver", false, &all);
		for (size_t i = 0; i < all.n; i++)
			if (!is_loopback(all.v[i]))
				strv_add(&servers, all.v[i]);
	}
	find_search(wished, given, host, &search);
	add_words(array_of(wished, "options"), &options);
	if (!options.n)
		add_words(array_of(given, "options"), &options);
	if (!options.n)
		read_lines(host, "options", false, &options);
	add_line(out, "search", &search);
	for (size_t i = 0; i < servers.n; i++)
		str_addf(out, "nameserver %s\n", servers.v[i]);
	add_line(out, "options", &options);
}
