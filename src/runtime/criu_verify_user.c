/* Who a restored process is.  What it may be follows from config.json: that user, and what he could
 * have made of himself by the capabilities that he can have. */
#include "runtime/criu_verify.h"

#include "base/mem.h"
#include "base/num.h"
#include "os/file.h"

#include <ctype.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { IDS_MAX = 65536, MAP_MAX = 1 << 16 };

#define BIT(cap) (UINT64_C(1) << (cap))

void criu_id_maps_done(struct criu_id_maps *m)
{
	free(m->uid);
	free(m->gid);
	*m = (struct criu_id_maps){ 0 };
}

const char *criu_next_number(const char *at, const char *blanks, uint64_t *ret)
{
	char word[24];

	at += strspn(at, blanks);
	size_t n = strspn(at, "0123456789");
	if (!n || n >= sizeof word)
		return NULL;
	memcpy(word, at, n);
	word[n] = 0;
	return num_u64(word, ret) < 0 ? NULL : at + n;
}

/* One row; where the next begins, NULL: none. */
static const char *next_row(const char *at, uint64_t ret[3])
{
	for (int i = 0; at && i < 3; i++)
		at = criu_next_number(at, " \t\n", &ret[i]);
	return at;
}

static bool is_same_map(const char *a, const char *b)
{
	uint64_t x[3] = { 0 }, y[3] = { 0 };

	for (;;) {
		a = next_row(a, x);
		b = next_row(b, y);
		if (!a || !b)
			return !a && !b;
		if (memcmp(x, y, sizeof x) != 0)
			return false;
	}
}

static int read_map(int procfd, pid_t init, const char *name, char **ret, struct err *e)
{
	char path[64];

	snprintf(path, sizeof path, "%d/%s", (int)init, name);
	int r = file_read(procfd, path, MAP_MAX, ret, NULL);
	return r < 0 ? err_sys(e, -r, "read %s of process %d", name, (int)init) : 0;
}

int criu_verify_id_maps(const struct plan *p, int procfd, pid_t init, struct criu_id_maps *ret,
			struct err *e)
{
	struct stat own, theirs;
	char path[64];

	snprintf(path, sizeof path, "%d/ns/user", (int)init);
	if (fstatat(procfd, "self/ns/user", &own, 0) < 0 || fstatat(procfd, path, &theirs, 0) < 0)
		return err_sys(e, errno, "look at the user namespace of process %d", (int)init);
	if (own.st_ino == theirs.st_ino)
		return 0;
	if (read_map(procfd, init, "uid_map", &ret->uid, e) < 0 ||
	    read_map(procfd, init, "gid_map", &ret->gid, e) < 0)
		return -1;
	if ((p->uid_map && !is_same_map(p->uid_map, ret->uid)) ||
	    (p->gid_map && !is_same_map(p->gid_map, ret->gid)))
		return err_set(e, ERR_PERMISSION_DENIED,
			       CRIU_MISFIT "its user namespace has other ids");
	return 0;
}

static bool map_id(const char *map, uint64_t id, uint64_t *ret)
{
	uint64_t row[3];

	*ret = id;
	if (!map)
		return true;
	while ((map = next_row(map, row)))
		if (id >= row[0] && id - row[0] < row[2]) {
			*ret = row[1] + (id - row[0]);
			return true;
		}
	return false;
}

static const char *find(const char *status, const char *name)
{
	const char *at = strstr(status, name);

	return at ? at + strlen(name) : "";
}

/* "\nCapBnd:\t000001ffffffffff": the kernel's own hexadecimal, at most 16 digits. */
static uint64_t get_mask(const char *status, const char *name)
{
	const char *at = find(status, name);
	uint64_t v = 0;

	for (at += *at == '\t'; isxdigit((unsigned char)*at); at++)
		v = v << 4 | (uint64_t)(*at <= '9' ? *at - '0' : (*at | 32) - 'a' + 10);
	return v;
}

/* The numbers of "\nUid:\t1\t2\t3\t4\n"; how many. */
static size_t get_ids(const char *status, const char *name, uint64_t *ret, size_t max)
{
	const char *at = find(status, name);
	size_t n = 0;

	while (n < max && (at = criu_next_number(at, " \t", &ret[n])))
		n++;
	return n;
}

/* Real, effective, saved, of the file system. */
static bool are_all(const char *status, const char *name, const char *map, uint32_t id)
{
	uint64_t ids[4], want;

	if (!map_id(map, id, &want) || get_ids(status, name, ids, 4) != 4)
		return false;
	return ids[0] == want && ids[1] == want && ids[2] == want && ids[3] == want;
}

static bool has_id(const uint64_t *ids, size_t n, uint64_t id)
{
	for (size_t i = 0; i < n; i++)
		if (ids[i] == id)
			return true;
	return false;
}

static bool are_groups(const struct plan_process *p, const char *map, const char *status)
{
	AUTO_FREE uint64_t *ids = xcalloc(IDS_MAX, sizeof *ids);
	AUTO_FREE uint64_t *want = xcalloc(p->n_groups + 1, sizeof *want);
	size_t n = get_ids(status, "\nGroups:", ids, IDS_MAX);

	for (size_t i = 0; i < p->n_groups; i++)
		if (!map_id(map, p->groups[i], &want[i]) || !has_id(ids, n, want[i]))
			return false;
	for (size_t i = 0; i < n; i++)
		if (!has_id(want, p->n_groups, ids[i]))
			return false;
	return true;
}

/* What a process of this config may come to have in its permitted set: with no_new_privs execve
 * gives nothing, so it is what the first one began with; else a program with the set-uid bit or
 * file capabilities may bring all that is in the bounding set. */
static uint64_t reachable(const struct plan_process *p)
{
	if (!p->caps.is_set)
		return UINT64_MAX;
	return p->no_new_privileges ? p->caps.permitted & p->caps.bounding : p->caps.bounding;
}

static int check_caps(const struct plan_process *p, pid_t pid, const char *status, struct err *e)
{
	uint64_t may = reachable(p);
	/* kept over execve, and good for nothing but what a program's file names too */
	uint64_t inheritable = p->caps.inheritable | may;
	const struct {
		const char *name;
		uint64_t most;
	} sets[] = {
		{ "\nCapPrm:", may },
		{ "\nCapEff:", may },
		{ "\nCapAmb:", may },
		{ "\nCapInh:", may & BIT(CAP_SETPCAP) ? p->caps.bounding : inheritable },
		{ "\nCapBnd:", p->caps.bounding },
	};

	for (size_t i = 0; p->caps.is_set && i < ARRAY_LEN(sets); i++)
		if (get_mask(status, sets[i].name) & ~sets[i].most)
			return err_set(e, ERR_PERMISSION_DENIED,
				       CRIU_MISFIT "process %d has more capabilities (%.6s)",
				       (int)pid, sets[i].name + 1);
	return 0;
}

/* Who can have the capability may be anybody by now. */
static int check_user(const struct plan_process *p, const struct criu_id_maps *m, pid_t pid,
		      const char *status, struct err *e)
{
	uint64_t may = reachable(p);

	if (!(may & BIT(CAP_SETUID)) && !are_all(status, "\nUid:", m->uid, p->uid))
		return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT "process %d has another uid",
			       (int)pid);
	if (may & BIT(CAP_SETGID))
		return 0;
	if (!are_all(status, "\nGid:", m->gid, p->gid))
		return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT "process %d has another gid",
			       (int)pid);
	if (!are_groups(p, m->gid, status))
		return err_set(e, ERR_PERMISSION_DENIED, CRIU_MISFIT "process %d has other groups",
			       (int)pid);
	return 0;
}

bool criu_status_is_dead(const char *status)
{
	const char *at = find(status, "\nState:\t");

	return *at == 'Z' || *at == 'X';
}

int criu_verify_status(const struct plan *p, bool has_seccomp, const struct criu_id_maps *m,
		       pid_t pid, const char *status, struct err *e)
{
	if (check_caps(&p->process, pid, status, e) < 0 ||
	    check_user(&p->process, m, pid, status, e) < 0)
		return -1;
	if (p->process.no_new_privileges && get_mask(status, "\nNoNewPrivs:") != 1)
		return err_set(e, ERR_PERMISSION_DENIED,
			       CRIU_MISFIT "process %d has no no_new_privs", (int)pid);
	if (has_seccomp && get_mask(status, "\nSeccomp:") != 2)
		return err_set(e, ERR_PERMISSION_DENIED,
			       CRIU_MISFIT "process %d has no seccomp filter", (int)pid);
	return 0;
}
