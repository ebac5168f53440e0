#include "cri/security.h"

#include "base/jsonr.h"
#include "base/log.h"
#include "base/num.h"
#include "cri/private.h"
#include "os/apparmor.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>

#define APPARMOR_DEFAULT "cri-containerd.apparmor.d"
enum { PROFILE_MAX = 4 << 20 };

int security_check_id(int64_t id, struct err *e)
{
	if (id < 0 || id >= UINT32_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "%lld is no user or group id",
			       (long long)id);
	return 0;
}

/* --- capabilities --- */

static bool is_all(const char *name)
{
	return !strcasecmp(name, "ALL");
}

static bool has_all(size_t n, char *const *v)
{
	for (size_t i = 0; i < n; i++)
		if (is_all(v[i]))
			return true;
	return false;
}

/* Without "ALL". */
static const char **list_of(struct arena *a, size_t n, char *const *v)
{
	const char **out = arena_array(a, n + 1, sizeof *out);
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		if (!is_all(v[i]))
			out[k++] = v[i];
	return out;
}

/* What is ambient must be permitted, too. */
static int ambient_of(struct arena *a, const CRI(Capability) * c, struct generate *g, struct err *e)
{
	const struct generate only = { .no_default_capabilities = true,
				       .cap_add = list_of(a, c->n_add_ambient_capabilities,
							  c->add_ambient_capabilities) };
	AUTO_STRV struct strv named = { 0 };
	const char **out, **add;
	size_t n = 0;

	if (generate_capabilities(&only, &named, e) < 0)
		return -1;
	out = arena_array(a, named.n + 1, sizeof *out);
	for (size_t i = 0; i < named.n; i++)
		out[i] = arena_strdup(a, named.v[i]);
	while (g->cap_add[n])
		n++;
	add = arena_array(a, n + named.n + 1, sizeof *add);
	memcpy(add, g->cap_add, n * sizeof *add);
	memcpy(add + n, out, named.n * sizeof *add);
	g->cap_add = add;
	g->cap_ambient = out;
	return 0;
}

int security_capabilities(struct arena *a, const CRI(Capability) * c, struct generate *g,
			  struct err *e)
{
	if (!c)
		return 0;
	g->cap_add = list_of(a, c->n_add_capabilities, c->add_capabilities);
	g->cap_drop = list_of(a, c->n_drop_capabilities, c->drop_capabilities);
	if (has_all(c->n_add_capabilities, c->add_capabilities))
		g->all_capabilities = true;
	if (has_all(c->n_drop_capabilities, c->drop_capabilities)) {
		/* what is added by name stays */
		g->no_default_capabilities = true;
		g->cap_drop = NULL;
	}
	return c->n_add_ambient_capabilities ? ambient_of(a, c, g, e) : 0;
}

/* --- seccomp and AppArmor --- */

static int read_profile(struct arena *a, const char *path, struct generate *g, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON json_object *o = NULL;
	size_t n;
	int r;

	if (*path != '/')
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "seccomp profile \"%s\" is no absolute path", path);
	r = file_read(AT_FDCWD, path, PROFILE_MAX, &text, &n);
	if (r < 0)
		return err_sys(e, -r, "cannot load seccomp profile \"%s\"", path);
	if (jsonr_parse(text, n, &o, e) < 0)
		return err_wrap(e, "decoding seccomp profile failed \"%s\"", path);
	g->seccomp_profile = arena_strdup(a, text);
	g->seccomp = GEN_SECCOMP_PROFILE;
	return 0;
}

static int default_profile(struct arena *a, struct generate *g, struct err *e)
{
	AUTO_STRV struct strv caps = { 0 };
	AUTO_FREE char *text = NULL;

	if (generate_capabilities(g, &caps, e) < 0)
		return -1;
	text = seccomp_default_profile(&caps);
	g->seccomp_profile = arena_strdup(a, text);
	g->seccomp = GEN_SECCOMP_PROFILE;
	return 0;
}

int security_seccomp(struct cri *cri, struct arena *a, const CRI(SecurityProfile) * profile,
		     const char *path, bool is_privileged, struct generate *g, struct err *e)
{
	const char *unset = cri->en->cfg->cri.unset_seccomp;

	if (is_privileged)
		return 0;
	if (!profile && !*path)
		path = unset;
	if (profile) {
		switch (profile->profile_type) {
		case RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault:
			return default_profile(a, g, e);
		case RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost:
			return read_profile(a, profile->localhost_ref, g, e);
		default:
			return 0;
		}
	}
	if (!*path || !strcmp(path, "unconfined"))
		return 0;
	if (!strcmp(path, "runtime/default") || !strcmp(path, "docker/default"))
		return default_profile(a, g, e);
	if (!str_starts(path, "localhost/"))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid seccomp profile \"%s\"", path);
	return read_profile(a, path + strlen("localhost/"), g, e);
}

static bool has_apparmor(void)
{
	AUTO_FREE char *text = NULL;

	return file_read(AT_FDCWD, "/sys/module/apparmor/parameters/enabled", 16, &text, NULL) >=
		       0 &&
	       *text == 'Y';
}

/* "": none is wanted.  Who says nothing gets the default, as with containerd. */
static int apparmor_name(const CRI(SecurityProfile) * profile, const char *path, const char **ret,
			 struct err *e)
{
	static const char localhost[] = "localhost/";

	*ret = APPARMOR_DEFAULT;
	if (profile) {
		if (profile->profile_type == RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__Localhost)
			*ret = str_starts(profile->localhost_ref, localhost)
				       ? profile->localhost_ref + strlen(localhost)
				       : profile->localhost_ref;
		else if (profile->profile_type !=
			 RUNTIME__V1__SECURITY_PROFILE__PROFILE_TYPE__RuntimeDefault)
			*ret = "";
	} else if (!strcmp(path, "unconfined")) {
		*ret = "";
	} else if (str_starts(path, localhost)) {
		*ret = path + strlen(localhost);
	} else if (*path && strcmp(path, "runtime/default") != 0) {
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid AppArmor profile \"%s\"", path);
	}
	return 0;
}

int security_apparmor(struct arena *a, const CRI(SecurityProfile) * profile, const char *path,
		      bool is_privileged, struct generate *g, struct err *e)
{
	const char *name;

	if (is_privileged)
		return 0;
	if (apparmor_name(profile, path, &name, e) < 0)
		return -1;
	if (!*name)
		return 0;
	if (!strcmp(name, APPARMOR_DEFAULT)) {
		if (!apparmor_is_usable())
			return 0;
		if (apparmor_load_default(name, e) < 0)
			return err_wrap(e, "failed to set the default AppArmor profile");
	} else if (!has_apparmor()) {
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "apparmor is not supported, but profile \"%s\" was asked for", name);
	}
	g->apparmor_profile = arena_strdup(a, name);
	return 0;
}

/* --- what the daemon itself may not give --- */

/* Going below one's own needs CAP_SYS_RESOURCE in the first user namespace: only trying says. */
int64_t security_oom_floor(bool is_always_restricted)
{
	static const char path[] = "/proc/self/oom_score_adj";
	AUTO_FREE char *text = NULL;
	int64_t own;
	char lower[32];

	if (file_read(AT_FDCWD, path, 32, &text, NULL) < 0)
		return INT64_MIN;
	text[strcspn(text, "\n")] = 0;
	if (num_i64(text, &own) < 0 || own <= -1000)
		return INT64_MIN;
	if (is_always_restricted)
		return own;
	snprintf(lower, sizeof lower, "%lld", (long long)own - 1);
	if (file_poke(AT_FDCWD, path, lower) < 0)
		return own;
	(void)file_poke(AT_FDCWD, path, text); /* up again is always allowed */
	return INT64_MIN;
}

int64_t security_oom_score(struct cri *cri, int64_t wanted)
{
	if (wanted >= cri->oom_floor)
		return wanted;
	pthread_mutex_lock(&cri->lock);
	bool was_said = cri->has_said_floor;

	cri->has_said_floor = true;
	pthread_mutex_unlock(&cri->lock);
	if (!was_said)
		log_warn(LOG_NONE,
			 "an oom_score_adj of %lld is more than this daemon may give (it has no "
			 "CAP_SYS_RESOURCE): containers get %lld instead",
			 (long long)wanted, (long long)cri->oom_floor);
	return cri->oom_floor;
}
