#include "engine/network_place.h"

#include "base/log.h"
#include "net/files.h"
#include "os/file.h"
#include "store/container.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>

enum { RECORD_MAX = 8 << 20, RESOLV_MAX = 64 << 10, TEXT_MAX = 1 << 20 };

static const char *const file_names[] = { "hosts", "hostname", "resolv.conf" };

void place_init(struct place *p, const char *root, const char *ns, const char *id)
{
	p->dir = xasprintf("%s/%s/%s", root, ns, id);
	p->netns = xasprintf("%s/netns", p->dir);
	p->foreign = xasprintf("%s-%s", ns, id);
	p->container = xasprintf("%s%s%s", ns, strchr(ns, '-') ? "--" : "-", id);
	p->root = root;
}

void place_done(struct place *p)
{
	free(p->dir);
	free(p->netns);
	free(p->container);
	free(p->foreign);
}

int place_make(const struct place *p, struct err *e)
{
	int r = file_mkdirs(p->dir, 0700);

	return r < 0 ? err_sys(e, -r, "mkdir %s", p->dir) : 0;
}

int place_lock(const struct place *p, struct err *e)
{
	enum { TRIES = 500, PAUSE_NS = 10000000 };
	AUTO_FD int fd = open(p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(e, errno, "open %s", p->dir);
	for (int i = 0; i < TRIES; i++) {
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			return TAKE_FD(fd);
		if (errno != EWOULDBLOCK)
			return err_sys(e, errno, "lock %s", p->dir);
		nanosleep(&(struct timespec){ .tv_nsec = PAUSE_NS }, NULL);
	}
	log_warn(LOG({ "path", p->dir }), "a plugin's program is still at it, going on");
	return TAKE_FD(fd);
}

int place_remove(const struct place *p, struct err *e)
{
	int r;

	while (umount2(p->netns, MNT_DETACH) == 0)
		; /* each of what is stacked there */
	r = file_remove_tree(AT_FDCWD, p->dir);
	return r < 0 ? err_sys(e, -r, "remove %s", p->dir) : 0;
}

static char *record_path(const struct place *p)
{
	return xasprintf("%s/record.json", p->dir);
}

int place_read(const struct place *p, json_object **ret, struct err *e)
{
	AUTO_FREE char *path = record_path(p);
	AUTO_FREE char *text = NULL;
	size_t n;
	int r = file_read(AT_FDCWD, path, RECORD_MAX, &text, &n);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(e, -r, "read %s", path);
	if (jsonr_parse(text, n, ret, e) < 0)
		return err_wrap(e, "%s", path);
	if (!json_object_is_type(*ret, json_type_object))
		return err_set(e, ERR_DATA_LOSS, "%s is no object", path);
	return 1;
}

/* Not synced: after a crash of the machine the cache of results says what was attached. */
int place_write(const struct place *p, json_object *record, struct err *e)
{
	AUTO_FREE char *path = record_path(p);
	const char *text = json_object_to_json_string_ext(
		record, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	size_t n = strlen(text);

	if (n > RECORD_MAX) /* nobody could read it, and detach */
		return err_set(e, ERR_RESOURCE_EXHAUSTED, "%s would be larger than %d bytes", path,
			       RECORD_MAX);
	int r = file_replace(AT_FDCWD, path, text, n, 0600, false);

	return r < 0 ? err_sys(e, -r, "write %s", path) : 0;
}

int place_pin(const struct place *p, uint32_t pid, struct err *e)
{
	AUTO_FREE char *source = xasprintf("/proc/%u/ns/net", pid);
	struct stat its, own;
	int r;

	if (stat(source, &its) < 0 || stat("/proc/self/ns/net", &own) < 0)
		return err_sys(e, errno, "network namespace of process %u", pid);
	if (its.st_ino == own.st_ino && its.st_dev == own.st_dev)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "the container shares the host's network: it cannot be attached to "
			       "another one");
	r = file_replace(AT_FDCWD, p->netns, "", 0, 0400, false);
	if (r < 0)
		return err_sys(e, -r, "write %s", p->netns);
	if (mount(source, p->netns, NULL, MS_BIND, NULL) < 0)
		return err_sys(e, errno, "keep %s", source);
	return 0;
}

const char *place_netns(const struct place *p)
{
	struct statfs fs;

	return statfs(p->netns, &fs) == 0 && fs.f_type == NSFS_MAGIC ? p->netns : "";
}

/* --- what the container sees --- */

static bool has_mount(json_object *mounts, const char *destination)
{
	for (size_t i = 0; i < json_object_array_length(mounts); i++) {
		json_object *m = json_object_array_get_idx(mounts, i);
		const char *at = "";
		struct err bad = { 0 };

		if (json_object_is_type(m, json_type_object) &&
		    jsonr_string(m, "destination", &at, &bad) == 0 && !strcmp(at, destination))
			return true;
	}
	return false;
}

/* Writable by the container: its own file on the daemon's disk, as its snapshot is. */
static json_object *bind_mount(const char *source, const char *destination)
{
	static const char *const options[] = { "bind", "rprivate", "nosuid", "nodev", "noexec" };
	json_object *m = json_object_new_object(), *list = json_object_new_array();

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		json_object_array_add(list, json_object_new_string(options[i]));
	json_object_object_add(m, "destination", json_object_new_string(destination));
	json_object_object_add(m, "type", json_object_new_string("bind"));
	json_object_object_add(m, "source", json_object_new_string(source));
	json_object_object_add(m, "options", list);
	return m;
}

static int add_mount(const struct place *p, json_object *mounts, const char *name, struct err *e)
{
	AUTO_FREE char *source = xasprintf("%s/%s", p->dir, name);
	AUTO_FREE char *destination = xasprintf("/etc/%s", name);
	int r;

	if (has_mount(mounts, destination))
		return 0;
	r = file_replace(AT_FDCWD, source, "", 0, 0644, false);
	if (r < 0)
		return err_sys(e, -r, "write %s", source);
	/* Whatever the daemon's umask: users of the container read it. */
	if (chmod(source, 0644) < 0)
		return err_sys(e, errno, "chmod %s", source);
	json_object_array_add(mounts, bind_mount(source, destination));
	return 0;
}

int place_add_mounts(const struct place *p, struct arena *a, struct any *spec,
		     const char **ret_hostname, struct err *e)
{
	AUTO_JSON json_object *o = NULL;
	json_object *mounts = NULL;
	const char *hostname = "", *text;

	if (jsonr_parse(spec->value, spec->n, &o, e) < 0)
		return err_wrap(e, "spec");
	if (!json_object_is_type(o, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "spec is no object");
	if (jsonr_string(o, "hostname", &hostname, e) < 0 ||
	    jsonr_array(o, "mounts", &mounts, e) < 0)
		return err_wrap(e, "spec");
	if (!mounts) {
		mounts = json_object_new_array();
		json_object_object_add(o, "mounts", mounts);
	}
	for (size_t i = 0; i < ARRAY_LEN(file_names); i++)
		if (add_mount(p, mounts, file_names[i], e) < 0)
			return -1;
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
							 JSON_C_TO_STRING_NOSLASHESCAPE);
	*ret_hostname = arena_strdup(a, hostname);
	spec->n = strlen(text);
	spec->value = arena_memdup(a, text, spec->n);
	return 0;
}

/* In place: the container has this very file. */
static int fill_file(const struct place *p, const char *name, const char *text, struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", p->dir, name);
	int r = file_poke(AT_FDCWD, path, text);

	if (r == -ENOENT) /* not mounted: the spec has something of its own there */
		return 0;
	return r < 0 ? err_sys(e, -r, "write %s", path) : 0;
}

/* The host's servers; those of its local resolver's own list, where there is only that. */
static char *host_resolv(void)
{
	char *text = NULL, *behind = NULL;

	if (file_read(AT_FDCWD, "/etc/resolv.conf", RESOLV_MAX, &text, NULL) < 0)
		return xstrdup("");
	if (files_has_server(text) ||
	    file_read(AT_FDCWD, "/run/systemd/resolve/resolv.conf", RESOLV_MAX, &behind, NULL) < 0)
		return text;
	free(text);
	return behind;
}

int place_fill(const struct place *p, const char *id, const char *hostname, json_object *dns,
	       json_object *result, struct err *e)
{
	struct str hosts AUTO_STR = STR_INIT(TEXT_MAX), resolv AUTO_STR = STR_INIT(TEXT_MAX);
	struct str name AUTO_STR = STR_INIT(TEXT_MAX);
	struct strv addresses AUTO_STRV = { 0 };
	AUTO_FREE char *host = host_resolv();
	json_object *given = NULL;
	struct err bad = { 0 };
	struct utsname uts;

	(void)jsonr_object(result, "dns", &given, &bad); /* another type counts as none */
	files_addresses(result, &addresses);
	files_hosts(&addresses, hostname, id, &hosts);
	files_resolv(dns, given, host, &resolv);
	if (!*hostname && uname(&uts) == 0)
		hostname = uts.nodename; /* what the container sees, too */
	str_addf(&name, "%s\n", hostname);
	if (fill_file(p, "hosts", str_c(&hosts), e) < 0 ||
	    fill_file(p, "hostname", str_c(&name), e) < 0)
		return -1;
	return fill_file(p, "resolv.conf", str_c(&resolv), e);
}
