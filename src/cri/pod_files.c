/* What a pod's containers share of files: hosts, hostname and resolv.conf in a folder below the
 * daemon's root, and a small file system for shared memory below its state.  Containers may write
 * to the former: below the state, which is mostly a tmpfs, they would take the host's memory, and
 * the room of everybody's sockets and pids. */
#include "base/log.h"
#include "cri/private.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/xattr.h>

enum { HOST_FILE_MAX = 1 << 20, TEXT_MAX = 64 << 10 };

extern const unsigned char cri_pause[];
extern const size_t cri_pause_size;

static int write_file(const char *dir, const char *name, const void *text, size_t n, mode_t mode,
		      struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name);
	int r = file_replace(AT_FDCWD, path, text, n, mode, false);

	/* whatever the daemon's umask: users of containers read it */
	if (r >= 0 && chmod(path, mode) < 0)
		r = -errno;
	return r < 0 ? err_sys(e, -r, "write %s", path) : 0;
}

static int copy_host_file(const char *dir, const char *name, const char *host, struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;
	int r = file_read(AT_FDCWD, host, HOST_FILE_MAX, &text, &n);

	if (r < 0 && r != -ENOENT)
		return err_sys(e, -r, "failed to read %s", host);
	return write_file(dir, name, text ?: "", n, 0644, e);
}

static void add_words(struct str *out, const char *key, size_t n, char *const *v)
{
	if (!n)
		return;
	str_add(out, key);
	for (size_t i = 0; i < n; i++)
		str_addf(out, " %s", v[i]);
	str_addc(out, '\n');
}

/* Nothing of it may become a line of its own. */
static int check_words(size_t n, char *const *v, struct err *e)
{
	for (size_t i = 0; i < n; i++)
		if (strpbrk(v[i], "\n\r"))
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "DNS option %s has a line break in it", v[i]);
	return 0;
}

static int make_resolv(const struct pod *pod, struct err *e)
{
	const CRI(DNSConfig) *dns = pod->config->dns_config;
	AUTO_STR struct str out = STR_INIT(TEXT_MAX);

	if (!dns || !(dns->n_servers + dns->n_searches + dns->n_options))
		return copy_host_file(pod->files, "resolv.conf", "/etc/resolv.conf", e);
	if (check_words(dns->n_servers, dns->servers, e) < 0 ||
	    check_words(dns->n_searches, dns->searches, e) < 0 ||
	    check_words(dns->n_options, dns->options, e) < 0)
		return -1;
	add_words(&out, "search", dns->n_searches, dns->searches);
	for (size_t i = 0; i < dns->n_servers; i++)
		str_addf(&out, "nameserver %s\n", dns->servers[i]);
	add_words(&out, "options", dns->n_options, dns->options);
	if (out.over)
		return err_set(e, ERR_INVALID_ARGUMENT, "the DNS config is too long");
	return write_file(pod->files, "resolv.conf", str_c(&out), out.len, 0644, e);
}

const char *pod_hostname(const struct pod *pod, struct arena *a)
{
	struct utsname u;

	if (*pod->config->hostname && !pod_has_host(pod, OCI_NS_NETWORK))
		return pod->config->hostname;
	return uname(&u) == 0 ? arena_strdup(a, u.nodename) : "";
}

/* NULL: none. */
static const char *mount_label(const struct pod *pod, struct arena *a)
{
	const CRI(LinuxPodSandboxConfig) *l = pod->config->linux;
	const CRI(LinuxSandboxSecurityContext) *s = l ? l->security_context : NULL;

	if (!pod->cri->has_selinux || (s && s->privileged))
		return NULL;
	return selinux_labels(a, s ? s->selinux_options : NULL, pod->level).mount;
}

/* Of the daemon's mounts, since containers come and go while it lasts. */
static int make_shm(const struct pod *pod, struct arena *a, struct err *e)
{
	const char *options = "mode=1777,size=67108864", *label = mount_label(pod, a);
	AUTO_FREE char *path = xasprintf("%s/shm", pod->dir);

	if (pod_has_host(pod, OCI_NS_IPC))
		return 0;
	if (mkdir(path, 0700) < 0)
		return err_sys(e, errno, "mkdir %s", path);
	if (mount("shm", path, "tmpfs", MS_NOEXEC | MS_NOSUID | MS_NODEV,
		  label ? arena_printf(a, "%s,context=\"%s\"", options, label) : options) < 0)
		return err_sys(e, errno, "failed to mount sandbox shm");
	const CRI(UserNamespace) *u = pod_userns(pod);

	if (u && chown(path, u->uids[0]->host_id, u->gids[0]->host_id) < 0)
		return err_sys(e, errno, "chown %s", path);
	return 0;
}

/* What the pod's processes may touch carries the pod's label. */
static int label_files(const struct pod *pod, struct arena *a, struct err *e)
{
	static const char *const names[] = { "hostname", "hosts", "resolv.conf" };
	const char *label = mount_label(pod, a);

	for (size_t i = 0; label && i < ARRAY_LEN(names); i++) {
		const char *path = arena_printf(a, "%s/%s", pod->files, names[i]);

		if (setxattr(path, "security.selinux", label, strlen(label) + 1, 0) < 0)
			return err_sys(e, errno, "relabel %s", path);
	}
	return 0;
}

int pod_files_make(const struct pod *pod, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	const char *name = arena_printf(a, "%s\n", pod_hostname(pod, a));
	const char *const folders[] = { pod->dir, pod->files };

	/* containers' own processes, of other users too, pass through to what is mounted */
	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		int r = file_mkdirs(folders[i], 0711);

		if (r < 0)
			return err_sys(e, -r, "failed to create sandbox root directory \"%s\"",
				       folders[i]);
	}
	if (write_file(pod->files, "hostname", name, strlen(name), 0644, e) < 0 ||
	    copy_host_file(pod->files, "hosts", "/etc/hosts", e) < 0 || make_resolv(pod, e) < 0 ||
	    label_files(pod, a, e) < 0 || make_shm(pod, a, e) < 0)
		return err_wrap(e, "failed to setup sandbox files");
	return 0;
}

void pod_files_unmount(const struct pod *pod)
{
	AUTO_FREE char *path = xasprintf("%s/shm", pod->dir);

	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		log_warn(LOG({ "error", err_errno_text(errno) }, { "id", pod->id }),
			 "cannot unmount the pod's shared memory");
}

void pod_files_remove(const struct pod *pod)
{
	pod_files_unmount(pod);

	const char *const folders[] = { pod->dir, pod->files };

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		int r = file_remove_tree(AT_FDCWD, folders[i]);

		if (r < 0)
			log_warn(LOG({ "error", err_errno_text(-r) }, { "path", folders[i] }),
				 "cannot remove the pod's folder");
	}
}

/* Mostly it is there, from the last start: then nothing has to be written. */
static int keep_file(const char *dir, const char *name, const void *text, size_t n, mode_t mode,
		     struct err *e)
{
	AUTO_FREE char *path = xasprintf("%s/%s", dir, name), *old = NULL;
	struct stat st;
	size_t size;

	if (lstat(path, &st) == 0 && S_ISREG(st.st_mode) && (st.st_mode & 07777) == mode &&
	    file_read(AT_FDCWD, path, n, &old, &size) == 0 && size == n && !memcmp(old, text, n))
		return 0;
	return write_file(dir, name, text, n, mode, e);
}

/* The root folder of all pods' first processes, which none of them can write to: our own program,
 * and places for the mounts. */
int pause_root_make(struct cri *cri, struct err *e)
{
	static const char *const folders[] = { "proc", "dev", "sys", "etc", "dev/shm" };
	static const char *const files[] = { "etc/hosts", "etc/hostname", "etc/resolv.conf" };

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", cri->pause_root, folders[i]);
		int r = file_mkdirs(path, 0755);

		if (r < 0)
			return err_sys(e, -r, "mkdir %s", path);
	}
	/* file_mkdirs() goes by the umask: the first process of a user namespace is nobody here */
	for (const char *const *f =
		     (const char *const[]){ "", "proc", "dev", "sys", "etc", "dev/shm", NULL };
	     *f; f++) {
		AUTO_FREE char *path = xasprintf("%s/%s", cri->pause_root, *f);

		if (chmod(path, 0755) < 0)
			return err_sys(e, errno, "chmod %s", path);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		if (keep_file(cri->pause_root, files[i], "", 0, 0644, e) < 0)
			return -1;
	return keep_file(cri->pause_root, "pause", cri_pause, cri_pause_size, 0755, e);
}
