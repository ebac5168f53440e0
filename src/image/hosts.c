#include "image/hosts.h"

#include "base/err.h"
#include "base/num.h"
#include "base/toml.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum { HOSTS_TOML_MAX = 1 << 20, MAX_HOSTS = 64, MAX_LIST = 32, DIAL_MAX_MS = 600000 };

bool hosts_is_local(const char *host)
{
	size_t n = strcspn(host, ":");

	if (str_starts(host, "[::1]"))
		return host[5] == 0 || host[5] == ':';
	if (n == 9 && memcmp(host, "localhost", 9) == 0)
		return true;
	if (!str_starts(host, "127."))
		return false;
	/* all digits and dots, so that 127.example.com is none */
	return strspn(host, "0123456789.") == n;
}

const char **hosts_split_dirs(struct arena *a, const char *list)
{
	size_t n = 0, cap = 2;

	for (const char *p = list; *p; p++)
		cap += *p == ':';

	const char **dirs = arena_array(a, cap, sizeof *dirs);
	while (*list) {
		size_t len = strcspn(list, ":");

		if (len)
			dirs[n++] = arena_strndup(a, list, len);
		list += len + (list[len] == ':');
	}
	return dirs;
}

static int set_url(struct host_config *h, const char *url, const char *default_scheme,
		   bool override_path, struct arena *a, struct err *e)
{
	const char *rest = strstr(url, "://");
	const char *scheme = rest ? arena_strndup(a, url, (size_t)(rest - url)) : default_scheme;

	rest = rest ? rest + 3 : url;
	size_t n = strcspn(rest, "/");
	h->host = arena_strndup(a, rest, n);
	/* what follows the scheme ends up in a URL: nothing that could end the host part early */
	if (n == 0 || strpbrk(h->host, "@?#\\ \t\r\n") || strpbrk(rest, "?#\r\n"))
		return err_set(e, ERR_INVALID_ARGUMENT, "unable to parse server %s", url);
	if (!scheme || !*scheme) {
		scheme = "https";
		h->may_fall_back = hosts_is_local(h->host);
	}
	if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "unsupported scheme in server %s", url);
	h->scheme = scheme;

	const char *path = rest + n;
	size_t len = strlen(path);
	while (len && path[len - 1] == '/')
		len--;
	h->path = arena_strndup(a, path, len);
	if (!override_path && !str_ends(h->path, "/v2"))
		h->path = arena_printf(a, "%s/v2", h->path);
	return 0;
}

static const char *resolve_file(struct arena *a, const char *folder, const char *file)
{
	return *file == '/' ? arena_strdup(a, file) : arena_printf(a, "%s/%s", folder, file);
}

/* A string or a list of strings. */
static int string_list(json_object *o, const char *key, const char **v, size_t *n, struct err *e)
{
	json_object *m;

	*n = 0;
	if (!json_object_object_get_ex(o, key, &m) || !m)
		return 0;
	if (json_object_is_type(m, json_type_string)) {
		v[(*n)++] = json_object_get_string(m);
		return 0;
	}
	if (!json_object_is_type(m, json_type_array) || json_object_array_length(m) > MAX_LIST)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid value for %s", key);
	for (size_t i = 0; i < json_object_array_length(m); i++) {
		json_object *s = json_object_array_get_idx(m, i);

		if (!json_object_is_type(s, json_type_string))
			return err_set(e, ERR_INVALID_ARGUMENT, "invalid value for %s", key);
		v[(*n)++] = json_object_get_string(s);
	}
	return 0;
}

static int read_ca(json_object *o, struct host_config *h, const char *folder, struct arena *a,
		   struct err *e)
{
	const char *v[MAX_LIST];
	size_t n;

	if (string_list(o, "ca", v, &n, e) < 0)
		return -1;
	h->ca = arena_array(a, n + 1, sizeof *h->ca);
	for (size_t i = 0; i < n; i++)
		h->ca[i] = resolve_file(a, folder, v[i]);
	return 0;
}

/* client = "both.pem", ["cert", "key"] or [["cert", "key"]]: the first pair counts. */
static int read_client(json_object *o, struct host_config *h, const char *folder, struct arena *a,
		       struct err *e)
{
	json_object *m;
	const char *v[MAX_LIST];
	size_t n;

	if (!json_object_object_get_ex(o, "client", &m) || !m)
		return 0;
	if (json_object_is_type(m, json_type_array) && json_object_array_length(m) > 0 &&
	    json_object_is_type(json_object_array_get_idx(m, 0), json_type_array)) {
		json_object *pair = json_object_array_get_idx(m, 0);

		if (json_object_array_length(m) > 1)
			return err_set(e, ERR_UNIMPLEMENTED, "more than one client certificate");
		for (n = 0; n < json_object_array_length(pair) && n < 2; n++) {
			v[n] = json_object_get_string(json_object_array_get_idx(pair, n));
			if (!v[n])
				return err_set(e, ERR_INVALID_ARGUMENT, "invalid value for client");
		}
	} else if (string_list(o, "client", v, &n, e) < 0) {
		return -1;
	}
	if (n < 1 || n > 2)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid value for client");
	h->cert = resolve_file(a, folder, v[0]);
	h->key = n == 2 && *v[1] ? resolve_file(a, folder, v[1]) : h->cert;
	return 0;
}

static int read_headers(json_object *o, struct host_config *h, struct arena *a, struct err *e)
{
	json_object *table = NULL;
	size_t count = 0;

	if (jsonr_object(o, "header", &table, e) < 0)
		return -1;
	h->headers = arena_array(a, MAX_LIST + 1, sizeof *h->headers);
	if (!table)
		return 0;
	json_object_object_foreach(table, name, value)
	{
		const char *v[MAX_LIST];
		size_t n;

		(void)value;
		if (string_list(table, name, v, &n, e) < 0)
			return -1;
		for (size_t i = 0; i < n; i++) {
			if (strpbrk(name, ":\r\n") || strpbrk(v[i], "\r\n") || count == MAX_LIST)
				return err_set(e, ERR_INVALID_ARGUMENT, "invalid header %s", name);
			h->headers[count++] = arena_printf(a, "%s: %s", name, v[i]);
		}
	}
	return 0;
}

static int read_capabilities(json_object *o, struct host_config *h, struct err *e)
{
	const char *v[MAX_LIST];
	size_t n;

	if (string_list(o, "capabilities", v, &n, e) < 0)
		return -1;
	if (n == 0)
		h->can_pull = h->can_resolve = h->can_push = true;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(v[i], "pull") == 0)
			h->can_pull = true;
		else if (strcmp(v[i], "resolve") == 0)
			h->can_resolve = true;
		else if (strcmp(v[i], "push") == 0)
			h->can_push = true;
		else
			return err_set(e, ERR_INVALID_ARGUMENT, "unknown capability %s", v[i]);
	}
	return 0;
}

/* "3s", as Go writes durations. */
static int read_dial_timeout(json_object *o, struct host_config *h, struct err *e)
{
	const char *text = NULL;
	uint64_t ns = 0;

	if (jsonr_string(o, "dial_timeout", &text, e) < 0)
		return -1;
	if (!text)
		return 0;
	if (num_duration(text, &ns) < 0 || ns / 1000000 > DIAL_MAX_MS)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid value for dial_timeout: \"%s\"",
			       text);
	h->dial_timeout_ms = ns && ns < 1000000 ? 1 : (uint32_t)(ns / 1000000);
	return 0;
}

static int read_host(json_object *o, const char *url, const char *folder,
		     const char *default_scheme, struct arena *a, struct host_config *h,
		     struct err *e)
{
	bool override_path = false;

	if (jsonr_bool(o, "skip_verify", &h->skip_verify, e) < 0 ||
	    jsonr_bool(o, "override_path", &override_path, e) < 0 ||
	    read_capabilities(o, h, e) < 0 || read_ca(o, h, folder, a, e) < 0 ||
	    read_dial_timeout(o, h, e) < 0 || read_client(o, h, folder, a, e) < 0 ||
	    read_headers(o, h, a, e) < 0)
		return -1;
	return set_url(h, url, default_scheme, override_path, a, e);
}

/* Where a registry itself is: docker.io's is elsewhere than its name. */
static const char *own_url(struct arena *a, const char *domain, const char *default_scheme)
{
	const char *host = strcmp(domain, "docker.io") == 0 ? "registry-1.docker.io" : domain;

	if (default_scheme && *default_scheme)
		return arena_printf(a, "%s://%s", default_scheme, host);
	return arena_strdup(a, host);
}

int hosts_parse(const char *text, size_t n, const char *folder, const char *domain,
		const char *default_scheme, struct arena *a, struct host_config **ret,
		size_t *ret_n, struct err *e)
{
	AUTO_JSON json_object *root = NULL;
	json_object *table = NULL;
	const char *server = own_url(a, domain, default_scheme);
	size_t count = 0;

	if (toml_parse(text, n, &root, e) < 0 || jsonr_string(root, "server", &server, e) < 0 ||
	    jsonr_object(root, "host", &table, e) < 0)
		return -1;

	struct host_config *v = arena_array(a, MAX_HOSTS + 1, sizeof *v);
	if (table) {
		json_object_object_foreach(table, url, o)
		{
			if (count == MAX_HOSTS || !json_object_is_type(o, json_type_object))
				return err_set(e, ERR_INVALID_ARGUMENT, "invalid host table %s",
					       url);
			if (read_host(o, url, folder, default_scheme, a, &v[count++], e) < 0)
				return -1;
		}
	}
	if (read_host(root, server, folder, default_scheme, a, &v[count], e) < 0)
		return -1;
	/* One that is listed already is not asked twice. */
	bool is_listed = false;
	for (size_t i = 0; i < count && !is_listed; i++) {
		bool is_same = strcmp(v[i].host, v[count].host) == 0 &&
			       strcmp(v[i].scheme, v[count].scheme) == 0 &&
			       strcmp(v[i].path, v[count].path) == 0;

		if (!is_same || !v[i].can_pull || !v[i].can_resolve)
			continue;
		is_listed = v[i].can_push || !v[count].can_push;
		if (!is_listed) /* it is there to be pushed to, only */
			v[count].can_pull = v[count].can_resolve = false;
	}
	*ret = v;
	*ret_n = count + !is_listed;
	return 0;
}

/* Docker's way: every *.crt is an authority, NAME.cert and NAME.key are the client's. */
static int read_docker_folder(const char *folder, struct host_config *h, struct arena *a)
{
	DIR *dir = opendir(folder);
	struct dirent *d;
	size_t n = 0;

	if (!dir)
		return -errno;
	h->ca = arena_array(a, MAX_LIST + 1, sizeof *h->ca);
	while ((d = readdir(dir))) {
		if (str_ends(d->d_name, ".crt") && n < MAX_LIST) {
			h->ca[n++] = arena_printf(a, "%s/%s", folder, d->d_name);
		} else if (str_ends(d->d_name, ".cert") && !h->cert) {
			h->cert = arena_printf(a, "%s/%s", folder, d->d_name);
			h->key = arena_printf(a, "%s/%.*s.key", folder, (int)strlen(d->d_name) - 5,
					      d->d_name);
		}
	}
	closedir(dir);
	return 0;
}

static int load_folder(const char *folder, const char *domain, const char *default_scheme,
		       struct arena *a, struct host_config **ret, size_t *ret_n, struct err *e)
{
	const char *path = arena_printf(a, "%s/hosts.toml", folder);
	AUTO_FREE char *text = NULL;
	size_t n;
	int r = file_read(AT_FDCWD, path, HOSTS_TOML_MAX, &text, &n);

	if (r == 0) {
		if (hosts_parse(text, n, folder, domain, default_scheme, a, ret, ret_n, e) < 0)
			return err_wrap(e, "%s", path);
		return 1;
	}
	if (r != -ENOENT)
		return err_sys(e, -r, "read %s", path);

	struct host_config *h = ARENA_NEW(a, struct host_config);
	h->can_pull = h->can_resolve = h->can_push = true;
	r = read_docker_folder(folder, h, a);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return err_sys(e, -r, "read %s", folder);
	h->headers = arena_array(a, 1, sizeof *h->headers);
	*ret = h;
	*ret_n = 1;
	return set_url(h, own_url(a, domain, default_scheme), default_scheme, false, a, e) < 0 ? -1
											       : 1;
}

int hosts_load(const char *const *dirs, const char *domain, const char *default_scheme,
	       struct arena *a, struct host_config **ret, size_t *ret_n, struct err *e)
{
	const char *colon = strrchr(domain, ':');

	if (strchr(domain, '/') || strcmp(domain, "..") == 0 || strcmp(domain, ".") == 0)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid registry host %s", domain);
	for (; dirs && *dirs; dirs++) {
		const char *names[3] = { domain, NULL, "_default" };

		if (colon) /* file systems that know no ":" */
			names[1] = arena_printf(a, "%.*s_%s_", (int)(colon - domain), domain,
						colon + 1);
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			if (!names[i])
				continue;
			int r = load_folder(arena_printf(a, "%s/%s", *dirs, names[i]), domain,
					    default_scheme, a, ret, ret_n, e);
			if (r != 0)
				return r < 0 ? -1 : 0;
		}
	}

	struct host_config *h = ARENA_NEW(a, struct host_config);
	h->can_pull = h->can_resolve = h->can_push = true;
	h->ca = arena_array(a, 1, sizeof *h->ca);
	h->headers = arena_array(a, 1, sizeof *h->headers);
	*ret = h;
	*ret_n = 1;
	return set_url(h, own_url(a, domain, default_scheme), default_scheme, false, a, e);
}
