#include "runtime/state.h"

#include "base/ident.h"
#include "base/timefmt.h"
#include "os/file.h"
#include "os/pidfd.h"
#include "os/process_record.h"
#include "os/syscall.h"
#include "runtime/procfs.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define STATE_FILE "state.json"
#define PLACES_FILE "cgroups"
#define SECCOMP_FILE "seccomp.bpf"

enum { PLACES_MAX = 1 << 20 };

void state_done(struct state *s)
{
	close_fd(&s->dirfd);
	s->dirfd = -1;
}

static int check_id(const char *id, struct err *e)
{
	if (!*id)
		return err_set(e, ERR_INVALID_ARGUMENT, "container id cannot be empty");
	if (!ident_is_runc_id(id))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid container ID format");
	if (strcmp(id, STATE_SECCOMP_CACHE) == 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid container ID: %s is where compiled filters are kept", id);
	return 0;
}

/* A lock of the open folder, not of a process: it ends with the last copy of the descriptor, and
 * whoever asks for it takes none. */
static int lock_made(int dirfd, short type)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(dirfd, F_OFD_SETLK, &l) < 0 ? -errno : 0;
}

static bool is_being_made(int dirfd)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(dirfd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

int state_wait_folder_made(const char *root, const char *id, unsigned timeout_ms)
{
	enum { STEP_MS = 5 };
	AUTO_FD int rootfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int dirfd = openat(rootfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	/* F_OFD_SETLKW cannot be bounded without signals */
	for (unsigned ms = 0; dirfd >= 0 && is_being_made(dirfd); ms += STEP_MS) {
		if (ms >= timeout_ms)
			return -EBUSY;
		nanosleep(&(struct timespec){ .tv_nsec = STEP_MS * 1000000 }, NULL);
	}
	return 0;
}

void state_made(const struct state *s)
{
	(void)lock_made(s->dirfd, F_UNLCK); /* ours to give back */
}

static int open_root(const char *root, struct err *e)
{
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 && errno == ENOENT) {
		int r = file_mkdirs(root, 0700);

		if (r < 0)
			return err_sys(e, -r, "mkdir %s", root);
		fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	}
	return fd < 0 ? err_sys(e, errno, "open %s", root) : fd;
}

/* A folder that holds nothing yet may be taken for a dead creation's, until it is locked: -ESTALE.
 */
static int make_locked(int rootfd, const char *id)
{
	struct stat st;

	if (mkdirat(rootfd, id, 0711) < 0)
		return -errno;
	AUTO_FD int fd = openat(rootfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r = fd < 0 ? (errno == ENOENT ? -ESTALE : -errno) : lock_made(fd, F_RDLCK);

	if (r == 0 && fstat(fd, &st) == 0 && st.st_nlink == 0)
		r = -ESTALE;
	if (r == 0)
		return TAKE_FD(fd);
	if (r != -ESTALE)
		(void)unlinkat(rootfd, id, AT_REMOVEDIR); /* nobody else made it */
	return r;
}

int state_make_dir(const char *root, const char *id, struct err *e)
{
	if (check_id(id, e) < 0)
		return -1;
	AUTO_FD int rootfd = open_root(root, e);
	if (rootfd < 0)
		return -1;
	int r = make_locked(rootfd, id);
	for (int i = 0; r == -ESTALE && i < 3; i++)
		r = make_locked(rootfd, id);
	if (r == -EEXIST)
		return err_set(e, ERR_ALREADY_EXISTS, "container with given ID already exists");
	return r < 0 ? err_sys(e, -r, "mkdir %s/%s", root, id) : r;
}

/* What nearly every container has, without listing the folder. */
static bool remove_usual(int rootfd, const char *id)
{
	AUTO_FD int fd = openat(rootfd, id, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0 || unlinkat(fd, STATE_FILE, 0) < 0 || unlinkat(fd, PLACES_FILE, 0) < 0)
		return false;
	return unlinkat(rootfd, id, AT_REMOVEDIR) == 0 ||
	       (unlinkat(fd, SECCOMP_FILE, 0) == 0 && unlinkat(rootfd, id, AT_REMOVEDIR) == 0);
}

int state_remove_dir(const char *root, const char *id, struct err *e)
{
	AUTO_FD int rootfd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (check_id(id, e) < 0)
		return -1;
	if (rootfd < 0)
		return errno == ENOENT ? 0 : err_sys(e, errno, "open %s", root);
	if (remove_usual(rootfd, id))
		return 0;
	int r = file_remove_tree(rootfd, id);
	if (r < 0)
		return err_sys(e, -r, "remove %s/%s", root, id);
	return 0;
}

int state_open_init(const struct state *s, int procfd, struct err *e)
{
	uint64_t start;
	char state;
	AUTO_FD int fd = s->init_pid > 0 ? pidfd_of(procfd, s->init_pid) : -ESRCH;

	/* The pidfd first: if the time is right after that, it is the right process. */
	if (fd >= 0 && process_start_time(procfd, s->init_pid, &start, &state) == 0 &&
	    start == s->start_time && state != 'Z' && state != 'X')
		return TAKE_FD(fd);
	if (fd < 0 && fd != -ESRCH)
		return err_sys(e, -fd, "open a pidfd of process %d", (int)s->init_pid);
	return err_set(e, ERR_FAILED_PRECONDITION, "container not running");
}

static int find_status(struct state *s, int procfd, struct err *e)
{
	struct err ignored = { 0 };
	AUTO_CGROUP struct cgroup *cg = NULL;
	bool is_frozen = false;
	uint64_t start;
	char state;

	if (process_start_time(procfd, s->init_pid, &start, &state) < 0 || start != s->start_time ||
	    state == 'Z' || state == 'X') {
		s->pub.status = RUNTIME_STOPPED;
		s->pub.pid = 0;
		return 0;
	}
	s->pub.pid = s->init_pid;
	/* Its processes may still be in the host's root. */
	if (is_being_made(s->dirfd)) {
		s->pub.status = RUNTIME_CREATING;
		return 0;
	}
	if (faccessat(s->dirfd, STATE_FIFO, F_OK, AT_SYMLINK_NOFOLLOW) == 0) {
		s->pub.status = RUNTIME_CREATED;
		return 0;
	}
	s->pub.status = RUNTIME_RUNNING;
	if (!s->pub.cgroup_paths.n)
		return 0;
	if (cgroup_load(&s->pub.cgroup_paths, &cg, e) < 0)
		return -1;
	/* a layout without a freezer has no frozen containers */
	if (cgroup_is_frozen(cg, &is_frozen, &ignored) == 0 && is_frozen)
		s->pub.status = RUNTIME_PAUSED;
	return 0;
}

int state_load(const struct runtime *rt, struct arena *a, const char *id, int procfd,
	       struct state *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	*ret = STATE_NONE;
	if (check_id(id, e) < 0)
		return -1;
	AUTO_FD int rootfd = open(rt->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	AUTO_FD int dirfd =
		rootfd < 0 ? -1
			   : openat(rootfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0 && errno == ENOENT)
		return err_set(e, ERR_NOT_FOUND, "container does not exist");
	if (dirfd < 0)
		return err_sys(e, errno, "open %s/%s", rt->root, id);
	int r = file_read(dirfd, STATE_FILE, RUNTIME_STATE_TEXT_MAX, &text, &len);
	if (r == -ENOENT)
		return err_set(e, ERR_NOT_FOUND, "container does not exist");
	if (r < 0)
		return err_sys(e, -r, "read %s/%s/" STATE_FILE, rt->root, id);
	if (state_parse(a, text, len, ret, e) < 0)
		return err_wrap(e, "read %s/%s/" STATE_FILE, rt->root, id);
	ret->dirfd = TAKE_FD(dirfd);
	r = 0;
	if (strcmp(ret->pub.id, id) != 0)
		r = err_set(e, ERR_DATA_LOSS, "%s/%s/" STATE_FILE " is of another container, %s",
			    rt->root, id, ret->pub.id);
	if (r < 0 || find_status(ret, procfd, e) < 0) {
		state_done(ret);
		return -1;
	}
	return 0;
}

int state_wait_made(struct state *s, int procfd, unsigned ms, struct err *e)
{
	static const struct timespec pause = { .tv_nsec = 1000000 };

	for (unsigned i = 0; s->pub.status == RUNTIME_CREATING && i < ms; i++) {
		(void)nanosleep(&pause, NULL); /* a signal only makes the next look earlier */
		if (find_status(s, procfd, e) < 0)
			return -1;
	}
	return 0;
}

int state_write(const struct state *s, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(RUNTIME_STATE_TEXT_MAX);

	state_print(s, &out);
	if (out.over)
		return err_set(e, ERR_RESOURCE_EXHAUSTED,
			       STATE_FILE " of container %s is larger than %d bytes", s->pub.id,
			       RUNTIME_STATE_TEXT_MAX);
	int r = file_replace(s->dirfd, STATE_FILE, str_c(&out), out.len, 0600, false);
	if (r < 0)
		return err_sys(e, -r, "write " STATE_FILE " of container %s", s->pub.id);
	return 0;
}

/* "controller\0path\0" each: one write, which nothing can cut in two. */
int state_add_place(const struct state *s, const char *controller, const char *path, struct err *e)
{
	AUTO_STR struct str line = STR_INIT(PLACES_MAX);
	AUTO_FD int fd = openat(s->dirfd, PLACES_FILE,
				O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

	str_addn(&line, controller, strlen(controller) + 1);
	str_addn(&line, path, strlen(path) + 1);
	if (fd < 0 || write(fd, line.ptr, line.len) != (ssize_t)line.len)
		return err_sys(e, errno, "write " PLACES_FILE " of container %s", s->pub.id);
	return 0;
}

int state_load_places(int dirfd, struct arena *a, struct oci_pairs *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;
	int r = file_read(dirfd, PLACES_FILE, PLACES_MAX, &text, &len);

	*ret = (struct oci_pairs){ 0 };
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(e, -r, "read " PLACES_FILE);
	ret->v = arena_array(a, len / 2 + 1, sizeof *ret->v);
	for (size_t at = 0; at < len;) {
		const char *key = text + at, *path;

		at += strlen(key) + 1;
		if (at >= len)
			return err_set(e, ERR_DATA_LOSS, PLACES_FILE " is cut off");
		path = text + at;
		at += strlen(path) + 1;
		ret->v[ret->n++] = (struct oci_pair){ arena_strdup(a, key), arena_strdup(a, path) };
	}
	return 0;
}

/* flags, then the instructions as they are */
int state_save_seccomp(const struct state *s, const struct seccomp_filter *f, struct err *e)
{
	AUTO_STR struct str out = STR_INIT(1 << 20);
	uint32_t flags = f->flags;

	str_addn(&out, &flags, sizeof flags);
	str_addn(&out, f->insns, f->n * sizeof *f->insns);
	int r = file_replace(s->dirfd, SECCOMP_FILE, out.ptr, out.len, 0600, false);
	if (r < 0)
		return err_sys(e, -r, "write " SECCOMP_FILE " of container %s", s->pub.id);
	return 0;
}

int state_load_seccomp(const struct state *s, struct seccomp_filter *ret, struct err *e)
{
	AUTO_FREE char *text = NULL;
	uint32_t flags;
	size_t len;
	int r = file_read(s->dirfd, SECCOMP_FILE, 1 << 20, &text, &len);

	*ret = (struct seccomp_filter){ 0 };
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_sys(e, -r, "read " SECCOMP_FILE " of container %s", s->pub.id);
	if (len <= sizeof flags || (len - sizeof flags) % sizeof *ret->insns)
		return err_set(e, ERR_DATA_LOSS, SECCOMP_FILE " of container %s is cut off",
			       s->pub.id);
	memcpy(&flags, text, sizeof flags);
	len -= sizeof flags;
	ret->insns = xmemdup(text + sizeof flags, len);
	ret->n = (unsigned)(len / sizeof *ret->insns);
	ret->flags = flags;
	return 0;
}
