/* What a container sees of file systems: the kernel's, the pod's files, and what its client wants.
 */
#include "cri/box_make.h"

#include "os/file.h"
#include "store/snapshot.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum { MOUNTS_MAX = 1024 };

struct list {
	struct arena *arena;
	struct oci_mount *v;
	size_t n, max;
};

static void add(struct list *l, const char *destination, const char *type, const char *source,
		const char *const *options)
{
	size_t n = 0;

	while (options[n])
		n++;
	if (l->n == l->max)
		BUG("more mounts than were counted");
	l->v[l->n++] = (struct oci_mount){
		.destination = destination,
		.type = type,
		.source = source,
		.options = { arena_memdup(l->arena, options, (n + 1) * sizeof *options), n }
	};
}

#define OPTIONS(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void add_kernel(struct list *l, bool is_privileged)
{
	const char *access = is_privileged ? "rw" : "ro";

	add(l, "/proc", "proc", "proc", OPTIONS("nosuid", "noexec", "nodev"));
	add(l, "/dev", "tmpfs", "tmpfs",
	    OPTIONS("nosuid", "strictatime", "mode=755", "size=65536k"));
	add(l, "/dev/pts", "devpts", "devpts",
	    OPTIONS("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"));
	add(l, "/dev/mqueue", "mqueue", "mqueue", OPTIONS("nosuid", "noexec", "nodev"));
	add(l, "/sys", "sysfs", "sysfs", OPTIONS("nosuid", "noexec", "nodev", access));
	add(l, "/sys/fs/cgroup", "cgroup", "cgroup",
	    OPTIONS("nosuid", "noexec", "nodev", "relatime", access));
}

static bool is_taken(const CRI(ContainerConfig) * c, const char *destination)
{
	for (size_t i = 0; i < c->n_mounts; i++)
		if (!strcmp(c->mounts[i]->container_path, destination))
			return true;
	return false;
}

/* The pod's, each unless the client has something of its own there. */
static void add_pod_files(struct list *l, const struct box *box, bool is_readonly)
{
	static const char *const names[] = { "hostname", "hosts", "resolv.conf" };
	const char *access = is_readonly ? "ro" : "rw";
	bool is_host_ipc = pod_has_host(box->pod, OCI_NS_IPC);

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const char *at = arena_printf(l->arena, "/etc/%s", names[i]);

		if (!is_taken(box->config, at))
			add(l, at, "bind",
			    arena_printf(l->arena, "%s/%s", box->pod->files, names[i]),
			    OPTIONS("rbind", "rprivate", access));
	}
	if (!is_taken(box->config, "/dev/shm"))
		add(l, "/dev/shm", "bind",
		    is_host_ipc ? "/dev/shm" : arena_printf(l->arena, "%s/shm", box->pod->dir),
		    OPTIONS("rbind", "rprivate", "rw"));
}

/* --- the client's --- */

static const char *propagation_name(const CRI(Mount) * m)
{
	return m->propagation == RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL
		       ? "rshared"
	       : m->propagation == RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER
		       ? "rslave"
		       : "rprivate";
}

static int check(const CRI(Mount) * m, struct err *e)
{
	bool is_private = m->propagation == RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_PRIVATE;

	if (m->image && *m->image_sub_path)
		return err_set(e, ERR_UNIMPLEMENTED, "mount %s: a part of an image as a volume",
			       m->container_path);
	if (m->image)
		return 0;
	if (!*m->host_path || !*m->container_path)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "a mount needs a path of the host and one of the container");
	if (m->recursive_read_only && (!m->readonly || !is_private))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "recursive read-only mount %s must be readonly, and of private "
			       "propagation",
			       m->container_path);
	return 0;
}

/* A folder that is not there is made, as containerd does; of the host's, so links are followed. */
static int source_of(struct arena *a, const CRI(Mount) * m, const char **ret, struct err *e)
{
	AUTO_FREE char *real = realpath(m->host_path, NULL);

	if (!real && errno == ENOENT) {
		int r = file_mkdirs(m->host_path, 0755);

		if (r < 0)
			return err_sys(e, -r, "failed to mkdir \"%s\"", m->host_path);
		real = realpath(m->host_path, NULL);
	}
	if (!real)
		return err_sys(e, errno, "failed to resolve symlink \"%s\"", m->host_path);
	*ret = arena_strdup(a, real);
	return 0;
}

/* An image as a volume: a view of its layers, which lives as long as the container's record. */
static int add_image(struct list *l, const struct box *box, const CRI(Mount) * m, struct err *e)
{
	const struct call call = cri_call(box->pod->cri, l->arena, NULL);
	const struct snapshot_at at = { .ns = call.ns, .snapshotter = box->snapshotter };
	const char *key = arena_printf(l->arena, "%s-image-%zu", box->id, l->n);
	struct labels labels = { 0 };
	struct image_facts image;
	struct mounts mounts;

	labels_set(l->arena, &labels, "containerd.io/gc.bref.container", box->id);
	box_add_expiry(l->arena, &labels);
	if (image_find(&call, m->image->image, &image, e) < 0 ||
	    snapshot_view(call.engine->store, &at, l->arena, key, image.chain, &labels, &mounts,
			  e) < 0)
		return err_wrap(e, "failed to mount image \"%s\"", m->image->image);
	if (mounts.n != 1)
		return err_set(e, ERR_UNIMPLEMENTED,
			       "snapshotter %s cannot make a volume of an image", box->snapshotter);
	const struct mount *v = &mounts.v[0];

	l->v[l->n++] = (struct oci_mount){ .destination = m->container_path,
					   .type = v->type,
					   .source = v->source,
					   .options = { v->options, v->noptions } };
	return 0;
}

static int add_wanted(struct list *l, const struct box *box, const CRI(Mount) * m,
		      struct generate *g, struct err *e)
{
	const char *source;
	struct oci_mount *added;

	if (check(m, e) < 0)
		return -1;
	if (m->image)
		return add_image(l, box, m, e);
	if (source_of(l->arena, m, &source, e) < 0)
		return -1;
	add(l, m->container_path, "bind", source,
	    OPTIONS("rbind", propagation_name(m),
		    m->recursive_read_only ? "rro"
		    : m->readonly          ? "ro"
					   : "rw"));
	added = &l->v[l->n - 1];
	added->uid_mappings = cri_idmappings(l->arena, m->n_uidmappings, m->uidmappings);
	added->gid_mappings = cri_idmappings(l->arena, m->n_gidmappings, m->gidmappings);
	if (m->propagation == RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_BIDIRECTIONAL)
		g->rootfs_propagation = "rshared";
	else if (m->propagation == RUNTIME__V1__MOUNT_PROPAGATION__PROPAGATION_HOST_TO_CONTAINER &&
		 !g->rootfs_propagation)
		g->rootfs_propagation = "rslave";
	return 0;
}

static size_t depth_of(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/' && path[1] && path[1] != '/';
	return n;
}

/* What lies in a folder that is mounted comes after it; else as the client has them. */
static void sort(const CRI(Mount) * *v, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		const CRI(Mount) *x = v[i];
		size_t k = i;

		for (; k > 0 && depth_of(v[k - 1]->container_path) > depth_of(x->container_path);
		     k--)
			v[k] = v[k - 1];
		v[k] = x;
	}
}

int box_mounts(const struct box *box, struct arena *a, struct generate *g, struct err *e)
{
	const CRI(ContainerConfig) *c = box->config;
	const CRI(LinuxContainerSecurityContext) *s = c->linux ? c->linux->security_context : NULL;
	enum { OWN_MAX = 16 };
	struct list l = { .arena = a, .max = c->n_mounts + OWN_MAX };
	const CRI(Mount) **sorted = arena_array(a, c->n_mounts + 1, sizeof *sorted);

	if (c->n_mounts > MOUNTS_MAX)
		return err_set(e, ERR_INVALID_ARGUMENT, "more than %d mounts", MOUNTS_MAX);
	l.v = arena_array(a, l.max, sizeof *l.v);
	add_kernel(&l, s && s->privileged);
	add_pod_files(&l, box, s && s->readonly_rootfs);
	for (size_t i = 0; i < c->n_mounts; i++)
		sorted[i] = c->mounts[i];
	sort(sorted, c->n_mounts);
	for (size_t i = 0; i < c->n_mounts; i++)
		if (add_wanted(&l, box, sorted[i], g, e) < 0)
			return err_wrap(e, "failed to generate mounts");
	g->bare_mounts = true;
	g->mounts = l.v;
	g->n_mounts = l.n;
	return 0;
}
