/* Mount options: the strings of config.json → attributes, flags of the file system, its own keys.
 */
#include "runtime/plan.h"

#include "os/syscall.h"
#include "runtime/idmap.h"

#include <string.h>
#include <sys/mount.h>

enum option_kind {
	OPT_SET, /* an attribute of the mount */
	OPT_CLEAR,
	OPT_ATIME, /* one of a field's values */
	OPT_ATIME_OFF, /* takes that choice back, and is no other one: "atime" leaves relatime */
	OPT_REC_SET, /* the same, of all mounts below too */
	OPT_REC_CLEAR,
	OPT_REC_ATIME,
	OPT_PROPAGATION,
	OPT_BIND,
	OPT_RBIND,
	OPT_SUPER, /* a flag of the file system, by fsconfig */
	OPT_IGNORE, /* says what is so already */
	OPT_REMOUNT,
	OPT_COPY_UP,
	OPT_IDMAP,
	OPT_REC_IDMAP,
};

static const struct mount_option {
	const char *name;
	enum option_kind kind;
	uint64_t value;
} options[] = {
	{ "async", OPT_IGNORE },
	{ "atime", OPT_ATIME_OFF, MOUNT_ATTR_NOATIME },
	{ "bind", OPT_BIND },
	{ "defaults", OPT_IGNORE },
	{ "dev", OPT_CLEAR, MOUNT_ATTR_NODEV },
	{ "diratime", OPT_CLEAR, MOUNT_ATTR_NODIRATIME },
	{ "dirsync", OPT_SUPER },
	{ "exec", OPT_CLEAR, MOUNT_ATTR_NOEXEC },
	{ "idmap", OPT_IDMAP },
	{ "iversion", OPT_SUPER },
	{ "lazytime", OPT_SUPER },
	{ "loud", OPT_IGNORE },
	{ "mand", OPT_IGNORE }, /* mandatory locks left the kernel in 5.15 */
	{ "noatime", OPT_ATIME, MOUNT_ATTR_NOATIME },
	{ "nodev", OPT_SET, MOUNT_ATTR_NODEV },
	{ "nodiratime", OPT_SET, MOUNT_ATTR_NODIRATIME },
	{ "noexec", OPT_SET, MOUNT_ATTR_NOEXEC },
	{ "noiversion", OPT_IGNORE },
	{ "nolazytime", OPT_IGNORE },
	{ "nomand", OPT_IGNORE },
	{ "norelatime", OPT_ATIME_OFF, MOUNT_ATTR_RELATIME },
	{ "nostrictatime", OPT_ATIME_OFF, MOUNT_ATTR_STRICTATIME },
	{ "nosuid", OPT_SET, MOUNT_ATTR_NOSUID },
	{ "nosymfollow", OPT_SET, MOUNT_ATTR_NOSYMFOLLOW },
	{ "private", OPT_PROPAGATION, MS_PRIVATE },
	{ "ratime", OPT_REC_ATIME, MOUNT_ATTR_RELATIME },
	{ "rbind", OPT_RBIND },
	{ "rdev", OPT_REC_CLEAR, MOUNT_ATTR_NODEV },
	{ "rdiratime", OPT_REC_CLEAR, MOUNT_ATTR_NODIRATIME },
	{ "relatime", OPT_ATIME, MOUNT_ATTR_RELATIME },
	{ "remount", OPT_REMOUNT },
	{ "rexec", OPT_REC_CLEAR, MOUNT_ATTR_NOEXEC },
	{ "ridmap", OPT_REC_IDMAP },
	{ "rnoatime", OPT_REC_ATIME, MOUNT_ATTR_NOATIME },
	{ "rnodev", OPT_REC_SET, MOUNT_ATTR_NODEV },
	{ "rnodiratime", OPT_REC_SET, MOUNT_ATTR_NODIRATIME },
	{ "rnoexec", OPT_REC_SET, MOUNT_ATTR_NOEXEC },
	{ "rnorelatime", OPT_REC_ATIME, MOUNT_ATTR_STRICTATIME },
	{ "rnostrictatime", OPT_REC_ATIME, MOUNT_ATTR_RELATIME },
	{ "rnosuid", OPT_REC_SET, MOUNT_ATTR_NOSUID },
	{ "rnosymfollow", OPT_REC_SET, MOUNT_ATTR_NOSYMFOLLOW },
	{ "ro", OPT_SET, MOUNT_ATTR_RDONLY },
	{ "rprivate", OPT_PROPAGATION, MS_PRIVATE | MS_REC },
	{ "rrelatime", OPT_REC_ATIME, MOUNT_ATTR_RELATIME },
	{ "rro", OPT_REC_SET, MOUNT_ATTR_RDONLY },
	{ "rrw", OPT_REC_CLEAR, MOUNT_ATTR_RDONLY },
	{ "rshared", OPT_PROPAGATION, MS_SHARED | MS_REC },
	{ "rslave", OPT_PROPAGATION, MS_SLAVE | MS_REC },
	{ "rstrictatime", OPT_REC_ATIME, MOUNT_ATTR_STRICTATIME },
	{ "rsuid", OPT_REC_CLEAR, MOUNT_ATTR_NOSUID },
	{ "rsymfollow", OPT_REC_CLEAR, MOUNT_ATTR_NOSYMFOLLOW },
	{ "runbindable", OPT_PROPAGATION, MS_UNBINDABLE | MS_REC },
	{ "rw", OPT_CLEAR, MOUNT_ATTR_RDONLY },
	{ "shared", OPT_PROPAGATION, MS_SHARED },
	{ "silent", OPT_IGNORE },
	{ "slave", OPT_PROPAGATION, MS_SLAVE },
	{ "strictatime", OPT_ATIME, MOUNT_ATTR_STRICTATIME },
	{ "suid", OPT_CLEAR, MOUNT_ATTR_NOSUID },
	{ "symfollow", OPT_CLEAR, MOUNT_ATTR_NOSYMFOLLOW },
	{ "sync", OPT_SUPER },
	{ "tmpcopyup", OPT_COPY_UP },
	{ "unbindable", OPT_PROPAGATION, MS_UNBINDABLE },
};

/* File systems that are as good as read-only once the mount is: their superblock is shared with
 * others, or made for us alone. */
static const char *const pseudo[] = { "proc",    "sysfs",   "mqueue",    "devpts",
				      "tmpfs",   "cgroup",  "cgroup2",   "bpf",
				      "debugfs", "tracefs", "securityfs" };

/* What lxcfs puts over single files of /proc, and what runc lets pass. */
static const char *const proc_files[] = {
	"/proc/cpuinfo",
	"/proc/diskstats",
	"/proc/meminfo",
	"/proc/stat",
	"/proc/swaps",
	"/proc/uptime",
	"/proc/loadavg",
	"/proc/slabinfo",
	"/proc/net/dev",
	"/proc/sys/kernel/ns_last_pid",
	"/proc/sys/crypto/fips_enabled",
};

static const struct mount_option *find_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

static bool is_one_of(const char *s, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(s, list[i]) == 0)
			return true;
	return false;
}

const char *plan_clean_path(struct arena *a, const char *path)
{
	AUTO_STR struct str out = STR_INIT(strlen(path) + 2);

	for (const char *p = path; *p;) {
		size_t n = strcspn(p, "/");

		if (n == 2 && p[0] == '.' && p[1] == '.') {
			while (out.len && out.ptr[--out.len] != '/')
				;
			if (out.ptr)
				out.ptr[out.len] = 0;
		} else if (n && !(n == 1 && p[0] == '.')) {
			str_addc(&out, '/');
			str_addn(&out, p, n);
		}
		p += n + (p[n] == '/');
	}
	return out.len ? arena_strdup(a, out.ptr) : "/";
}

static void add_param(struct mount_op *op, const char *key, const char *value)
{
	op->params[op->n_params++] = (struct fs_param){ key, value };
}

static void set_atime(uint64_t *set, uint64_t *clear, uint64_t value)
{
	*set = (*set & ~(uint64_t)MOUNT_ATTR__ATIME) | value;
	*clear |= MOUNT_ATTR__ATIME;
}

static void unset_atime(struct mount_op *op, uint64_t value)
{
	if (!(op->clear & MOUNT_ATTR__ATIME) || (op->set & MOUNT_ATTR__ATIME) != value)
		return;
	op->set &= ~(uint64_t)MOUNT_ATTR__ATIME;
	op->clear &= ~(uint64_t)MOUNT_ATTR__ATIME;
}

/* What a bind drops of its source's attributes once any option names one, as runc's remount does.
 */
#define DROPPED                                                                         \
	(MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | \
	 MOUNT_ATTR_NOSYMFOLLOW)

static void apply_option(struct mount_op *op, const struct mount_option *o)
{
	if (o->kind <= OPT_ATIME_OFF)
		op->drop = DROPPED;
	switch (o->kind) {
	case OPT_SET:
		op->set |= o->value;
		op->clear &= ~o->value;
		break;
	case OPT_CLEAR:
		op->clear |= o->value;
		op->set &= ~o->value;
		break;
	case OPT_ATIME:
		set_atime(&op->set, &op->clear, o->value);
		break;
	case OPT_ATIME_OFF:
		unset_atime(op, o->value);
		break;
	case OPT_REC_SET:
		op->rec_set |= o->value;
		op->rec_clear &= ~o->value;
		break;
	case OPT_REC_CLEAR:
		op->rec_clear |= o->value;
		op->rec_set &= ~o->value;
		break;
	case OPT_REC_ATIME:
		set_atime(&op->rec_set, &op->rec_clear, o->value);
		break;
	case OPT_PROPAGATION:
		if (o->value & MS_REC)
			op->rec_propagation = o->value & ~(uint64_t)MS_REC;
		else
			op->propagation = o->value;
		break;
	case OPT_RBIND:
		op->recursive = true;
		op->kind = MOUNT_BIND;
		break;
	case OPT_BIND:
		op->kind = MOUNT_BIND;
		break;
	case OPT_REMOUNT:
		op->kind = MOUNT_CHANGE;
		break;
	case OPT_COPY_UP:
		op->copy_up = true;
		break;
	case OPT_IDMAP:
	case OPT_REC_IDMAP:
		op->idmap = true;
		op->rec_idmap = o->kind == OPT_REC_IDMAP;
		break;
	case OPT_SUPER:
		add_param(op, o->name, NULL);
		break;
	case OPT_IGNORE:
		break;
	}
}

/* An option that no row names belongs to a file system, and a bind has none of its own. */
static void take_options(struct arena *a, const struct oci_mount *m, struct mount_op *op,
			 bool *ret_has_data)
{
	*ret_has_data = false;
	for (size_t i = 0; i < m->options.n; i++) {
		const char *text = m->options.v[i];
		const struct mount_option *o = find_option(text);
		const char *eq = strchr(text, '=');

		if (o) {
			apply_option(op, o);
			continue;
		}
		if (eq)
			add_param(op, arena_strndup(a, text, (size_t)(eq - text)),
				  arena_strdup(a, eq + 1));
		else if (*text)
			add_param(op, text, NULL);
		*ret_has_data |= *text;
	}
}

/* The times' attributes go together: naming one of them decides all, naming none keeps all. */
static void complete_bind(struct mount_op *op)
{
	bool has_atime = op->clear & MOUNT_ATTR__ATIME;

	if (!has_atime && (op->set & MOUNT_ATTR_NODIRATIME))
		set_atime(&op->set, &op->clear, MOUNT_ATTR_RELATIME);
	else if (has_atime && !(op->set & MOUNT_ATTR_NODIRATIME))
		op->clear |= MOUNT_ATTR_NODIRATIME;
	op->drop &= ~(op->set | op->clear);
	op->n_params = 0; /* flags of a superblock that is not ours */
}

/* As runc: any tmpfs, and whatever is on /dev. */
static void delay_readonly(struct mount_op *op)
{
	if (op->kind != MOUNT_FS || !(op->set & MOUNT_ATTR_RDONLY) ||
	    (strcmp(op->fstype, "tmpfs") != 0 && strcmp(op->dest, "/dev") != 0))
		return;
	op->late_readonly = true;
	op->set &= ~(uint64_t)MOUNT_ATTR_RDONLY;
}

static int check_op(struct mount_op *op, struct err *e)
{
	if (strcmp(op->dest, "/") == 0 && op->kind != MOUNT_CHANGE)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "mount destination / would hide the root file system");
	if (op->kind == MOUNT_BIND && (!op->source || !*op->source))
		return err_set(e, ERR_INVALID_ARGUMENT, "bind mount %s has no source", op->dest);
	if (op->kind == MOUNT_FS && (!op->fstype || !*op->fstype))
		return err_set(e, ERR_INVALID_ARGUMENT, "mount %s has no type", op->dest);
	if (op->copy_up && (op->kind != MOUNT_FS || strcmp(op->fstype, "tmpfs") != 0))
		return err_set(e, ERR_INVALID_ARGUMENT, "mount %s: tmpcopyup is for tmpfs only",
			       op->dest);

	/* A bind covers /proc only if it is a procfs itself: the executor looks at the source. */
	if (strcmp(op->dest, "/proc") == 0) {
		op->may_cover_proc = true;
		if ((op->kind == MOUNT_FS || op->kind == MOUNT_CGROUP) &&
		    strcmp(op->fstype, "proc") != 0)
			return err_set(
				e, ERR_INVALID_ARGUMENT,
				"\"/proc\" cannot be mounted because it is not of type proc");
	} else if (str_starts(op->dest, "/proc/")) {
		op->may_cover_proc = is_one_of(op->dest, proc_files, ARRAY_LEN(proc_files));
		if (!op->may_cover_proc && op->kind != MOUNT_CHANGE)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "\"%s\" cannot be mounted because it is inside /proc",
				       op->dest);
	}
	return 0;
}

/* As runc has it: maps make a mount an idmapped one, whatever the options say. */
static int plan_mount_idmap(struct arena *a, const struct oci_mount *m, struct mount_op *op,
			    struct err *e)
{
	size_t n_uid = m->uid_mappings.n, n_gid = m->gid_mappings.n;

	op->idmap |= n_uid || n_gid;
	if (!op->idmap)
		return 0;
	if (op->kind != MOUNT_BIND)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid mount %s: id-mapped mounts are only supported for "
			       "bind-mounts",
			       op->dest);
	if (!n_uid != !n_gid)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid mount %s: id-mapped mounts must have both uid and gid "
			       "mappings specified",
			       op->dest);
	if (!n_uid)
		return 0;
	if (idmap_text(a, &m->uid_mappings, &op->uid_map, e) < 0)
		return err_wrap(e, "invalid mount %s: uidMappings", op->dest);
	if (idmap_text(a, &m->gid_mappings, &op->gid_map, e) < 0)
		return err_wrap(e, "invalid mount %s: gidMappings", op->dest);
	return 0;
}

int plan_mount(struct arena *a, const struct oci_mount *m, struct mount_op *ret, struct err *e)
{
	*ret = (struct mount_op){
		.kind = MOUNT_FS,
		.dest = plan_clean_path(a, m->destination),
		.fstype = m->type,
		.source = m->source,
		/* and ours: ro, context, mode */
		.params = arena_array(a, m->options.n + 3, sizeof(struct fs_param)),
	};
	bool has_data;

	if (m->type && (strcmp(m->type, "bind") == 0 || strcmp(m->type, "rbind") == 0)) {
		ret->kind = MOUNT_BIND;
		ret->recursive = strcmp(m->type, "rbind") == 0;
	}
	take_options(a, m, ret, &has_data);
	if (ret->kind == MOUNT_BIND && has_data)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid mount %s: bind mounts cannot have any filesystem-specific "
			       "options applied",
			       ret->dest);
	if (ret->kind == MOUNT_BIND)
		complete_bind(ret);
	if (ret->kind == MOUNT_FS && m->type &&
	    (strcmp(m->type, "cgroup") == 0 || strcmp(m->type, "cgroup2") == 0))
		ret->kind = MOUNT_CGROUP;
	/* A read-only mount of a disk needs the superblock read-only too, or its journal is
	 * replayed and a read-only device refused. */
	if (ret->kind == MOUNT_FS && m->type && (ret->set & MOUNT_ATTR_RDONLY) &&
	    !is_one_of(m->type, pseudo, ARRAY_LEN(pseudo)))
		add_param(ret, "ro", NULL);
	if (ret->kind == MOUNT_FS || ret->kind == MOUNT_CGROUP) /* nothing is below it */
		ret->set = (ret->set & ~ret->rec_clear) | ret->rec_set;
	if (plan_mount_idmap(a, m, ret, e) < 0)
		return -1;
	return check_op(ret, e);
}

/* Maps that the mount doesn't have itself are the container's. */
static int complete_idmap(const struct plan *p, struct mount_op *op, struct err *e)
{
	if (!op->idmap || op->uid_map)
		return 0;
	if (!(p->all_ns & CLONE_NEWUSER))
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid mount %s: id-mapped mounts must have both uid and gid "
			       "mappings specified",
			       op->dest);
	op->uid_map = p->uid_map; /* NULL: a joined namespace's */
	op->gid_map = p->gid_map;
	return 0;
}

/* Label new file systems with SELinux's own option; the kernel's pseudo ones have labels already,
 * and what is bound keeps its files'. */
static void add_context(const struct plan *p, struct mount_op *op)
{
	static const char *const unlabeled[] = { "proc", "sysfs" };

	if (p->mount_label && op->kind == MOUNT_FS &&
	    !is_one_of(op->fstype, unlabeled, ARRAY_LEN(unlabeled)))
		add_param(op, "context", p->mount_label);
}

/* A path of the host's that leads into the rootfs: the rest of it; else NULL. */
static const char *below_root(const char *rootfs, const char *path)
{
	size_t n = strlen(rootfs);

	if (n < 2 || !path || strncmp(path, rootfs, n) != 0 || path[n] != '/')
		return NULL;
	return path + n;
}

int plan_mounts(struct arena *a, const struct oci_spec *s, struct plan *ret, struct err *e)
{
	ret->mounts = arena_array(a, s->n_mounts, sizeof *ret->mounts);
	ret->make_devices = true;
	for (size_t i = 0; i < s->n_mounts; i++) {
		struct mount_op *op = &ret->mounts[i];
		struct oci_mount m = s->mounts[i];
		const char *inside = below_root(ret->rootfs, m.destination);

		if (inside) /* as runc takes it: some name the mount point as the host sees it */
			m.destination = inside;
		if (plan_mount(a, &m, op, e) < 0 || complete_idmap(ret, op, e) < 0)
			return -1;
		if (op->kind == MOUNT_BIND)
			op->source_inside = below_root(ret->rootfs, op->source);
		ret->has_inner_idmap |= op->idmap && op->source_inside;
		add_context(ret, op);
		delay_readonly(op);
		ret->has_late_readonly |= op->late_readonly;
		if (s->mounts[i].destination[0] != '/')
			strv_addf(&ret->warnings,
				  "mount destination %s is not absolute. Support for non-absolute "
				  "mount destinations will be removed in a future release.",
				  s->mounts[i].destination);
		ret->n_mounts++;
		if (strcmp(op->dest, "/dev") == 0)
			ret->make_devices = op->kind != MOUNT_BIND;
		if (strcmp(op->dest, "/dev/pts") == 0)
			ret->has_devpts = op->kind == MOUNT_FS && strcmp(op->fstype, "devpts") == 0;
	}
	return 0;
}

const char *plan_mount_option_name(size_t i)
{
	return i < ARRAY_LEN(options) ? options[i].name : NULL;
}

bool plan_knows_mount_option(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (strcmp(options[i].name, name) == 0)
			return true;
	return false;
}
