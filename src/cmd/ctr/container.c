#include "cmd/ctr/container.h"
#include "cmd/ctr/network.h"
#include "cmd/ctr/remap.h"
#include "cmd/ctr/snapshot_new.h"

#include "base/ident.h"
#include "base/jsonr.h"
#include "loop/trace.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>

enum { SPEC_MAX = 4 << 20 };
#define SPEC_TYPE "types.containerd.io/opencontainers/runtime-spec/1/Spec"
#define STOP_SIGNAL_LABEL "io.containerd.image.config.stop-signal"

int container_get(struct ctr *ctr, const char *id, CONTAINERS(Container) * *ret, struct err *e)
{
	CONTAINERS(GetContainerRequest) req = CONTAINERS_INIT(GET_CONTAINER_REQUEST);
	CONTAINERS(GetContainerResponse) * rsp;

	req.id = PB(id);
	if (CTR_CALL(ctr, "containers.v1.Containers/Get", &req,
		     containers__v1__get_container_response, &rsp, e) < 0)
		return -1;
	if (!rsp->container)
		return err_set(e, ERR_INTERNAL, "the daemon answered without a container");
	*ret = rsp->container;
	return 0;
}

int container_mounts(struct ctr *ctr, const CONTAINERS(Container) * c,
		     SNAPSHOTS(MountsResponse) * *ret, struct err *e)
{
	SNAPSHOTS(MountsRequest) req = SNAPSHOTS_INIT(MOUNTS_REQUEST);

	req.snapshotter = c->snapshotter;
	req.key = c->snapshot_key;
	return CTR_CALL(ctr, "snapshots.v1.Snapshots/Mounts", &req, snapshots__v1__mounts_response,
			ret, e);
}

int container_has_terminal(const CONTAINERS(Container) * c, bool *ret, struct err *e)
{
	json_object *o AUTO_JSON = NULL, *process = NULL;

	*ret = false;
	if (!c->spec)
		return 0;
	if (jsonr_parse((const char *)c->spec->value.data, c->spec->value.len, &o, e) < 0)
		return err_wrap(e, "the spec of container %s", c->id);
	if (jsonr_object(o, "process", &process, e) < 0)
		return -1;
	return process ? jsonr_bool(process, "terminal", ret, e) : 0;
}

static int open_removal(struct ctr *ctr, const char *snapshotter, const char *key,
			struct grpc_stream **ret, struct err *e)
{
	SNAPSHOTS(RemoveSnapshotRequest) req = SNAPSHOTS_INIT(REMOVE_SNAPSHOT_REQUEST);

	req.snapshotter = PB(snapshotter);
	req.key = PB(key);
	return ctr_open(ctr, "snapshots.v1.Snapshots/Remove", &req,
			&google__protobuf__empty__descriptor, ret, e);
}

static int end_removal(struct ctr *ctr, struct grpc_stream *call, struct err *e)
{
	if (ctr_end(ctr, call, NULL, e) == 0)
		return 0;
	if (e->code != ERR_NOT_FOUND)
		return -1;
	err_clear(e);
	return 0;
}

static int remove_snapshot(struct ctr *ctr, const char *snapshotter, const char *key, struct err *e)
{
	struct grpc_stream *removal;

	if (open_removal(ctr, snapshotter, key, &removal, e) < 0)
		return -1;
	return end_removal(ctr, removal, e);
}

int container_delete(struct ctr *ctr, const CONTAINERS(Container) * c, bool keep_snapshot,
		     struct err *e)
{
	CONTAINERS(DeleteContainerRequest) req = CONTAINERS_INIT(DELETE_CONTAINER_REQUEST);

	if (!keep_snapshot && *c->snapshot_key &&
	    remove_snapshot(ctr, c->snapshotter, c->snapshot_key, e) < 0)
		return -1;
	req.id = c->id;
	return CTR_CALL_EMPTY(ctr, "containers.v1.Containers/Delete", &req, e);
}

int container_discard(struct ctr *ctr, const CONTAINERS(Container) * c, struct err *e)
{
	CONTAINERS(DeleteContainerRequest) req = CONTAINERS_INIT(DELETE_CONTAINER_REQUEST);
	struct grpc_stream *removal AUTO_GRPC_STREAM = NULL;
	struct err also = { 0 };

	if (*c->snapshot_key && open_removal(ctr, c->snapshotter, c->snapshot_key, &removal, e) < 0)
		return -1;
	req.id = c->id;
	int r = CTR_CALL_EMPTY(ctr, "containers.v1.Containers/Delete", &req, e);

	if (removal && end_removal(ctr, TAKE_PTR(removal), r < 0 ? &also : e) < 0)
		return -1;
	return r;
}

/* What is being made, before it is sent. */
struct draft {
	struct ctr *ctr;
	const struct args *args;
	const struct labels *more; /* or NULL */
	const char *id, *image_name, *snapshotter, *rootfs;
	struct image image;
	bool has_image;
	SNAPSHOTS(PrepareSnapshotResponse) * root; /* NULL: no snapshot */
	struct idmap_flags idmaps;
	bool is_remapped; /* by a copy */
	const char *wishes; /* of its network, or NULL */
	char *spec;
	size_t spec_len;
};

/* The namespace's own default, as the original asks for it. */
static int ask_namespace(struct ctr *ctr, struct grpc_stream **ret, struct err *e)
{
	NAMESPACES(GetNamespaceRequest) req = NAMESPACES_INIT(GET_NAMESPACE_REQUEST);

	req.name = PB(ctr->ns);
	return ctr_open(ctr, "namespaces.v1.Namespaces/Get", &req,
			&containerd__services__namespaces__v1__get_namespace_response__descriptor,
			ret, e);
}

static const char *default_snapshotter(struct ctr *ctr, struct grpc_stream *call)
{
	NAMESPACES(GetNamespaceResponse) * rsp;
	const char *name = NULL;
	struct err absent = { 0 };
	struct labels l;

	if (ctr_end(ctr, call, &rsp, &absent) == 0 && rsp->namespace_) {
		labels_from_pb(ctr->arena, rsp->namespace_->labels, rsp->namespace_->n_labels, &l);
		name = labels_get(&l, "containerd.io/defaults/snapshotter");
	}
	return name ? name : "overlayfs";
}

/* In a user namespace: labels for a snapshotter that maps ids itself, else a parent whose files
 * have other owners. */
static int choose_parent(struct draft *d, struct labels *l, const char **ret, struct err *e)
{
	bool is_built_in = args_bool(d->args, "remap-labels");

	*ret = d->image.chain_id;
	if (!d->idmaps.uids.n)
		return 0;
	if (!is_built_in && remap_is_built_in(d->ctr, d->snapshotter, &is_built_in, e) < 0)
		return -1;
	if (!is_built_in) {
		d->is_remapped = true;
		return remap_snapshot(d->ctr, d->snapshotter, *ret, &d->idmaps.uids,
				      &d->idmaps.gids, ret, e);
	}
	idmap_flags_labels(d->ctr->arena, &d->idmaps, l);
	return 0;
}

static int prepare_root(struct draft *d, struct err *e)
{
	struct ctr *ctr = d->ctr;
	struct labels l = { 0 };
	const char *parent;
	size_t n;
	const char *const *words = args_list(d->args, "snapshotter-label", &n);

	labels_parse(ctr->arena, words, n, &l);
	/* Nearly always it is unpacked: then to ask is a round trip more. */
	if (!d->idmaps.uids.n) {
		struct err absent = { 0 };

		if (snapshot_prepare(ctr, d->snapshotter, d->id, d->image.chain_id, &l, &d->root,
				     &absent) == 0)
			return 0;
		if (absent.code != ERR_NOT_FOUND)
			return err_copy(e, &absent);
	}
	if (image_unpack(ctr, &d->image, d->snapshotter, e) < 0)
		return -1;
	if (choose_parent(d, &l, &parent, e) < 0)
		return -1;
	return snapshot_prepare(ctr, d->snapshotter, d->id, parent, &l, &d->root, e);
}

static int load_image(struct draft *d, struct err *e)
{
	struct grpc_stream *space AUTO_GRPC_STREAM = NULL;
	IMAGES(Image) * record;
	struct platform p = platform_host();
	const char *asked =
		args_is_set(d->args, "snapshotter") ? args_string(d->args, "snapshotter") : NULL;

	if (args_is_set(d->args, "platform") &&
	    platform_parse(args_string(d->args, "platform"), &p, e) < 0)
		return -1;
	if (!asked && ask_namespace(d->ctr, &space, e) < 0)
		return -1;
	if (image_get(d->ctr, d->image_name, &record, e) < 0)
		return -1;
	d->image_name = record->name;
	d->has_image = true;
	if (image_load(d->ctr, record, &p, &d->image, e) < 0)
		return -1;
	d->snapshotter = asked ? asked : default_snapshotter(d->ctr, TAKE_PTR(space));
	return 0;
}

static int write_spec(struct draft *d, struct err *e)
{
	TRACE_STEP("make the spec");
	const char *user = args_string(d->args, "user");
	struct generate g;

	if (spec_from_args(d->ctr, d->args, d->has_image ? &d->image : NULL, d->id, &g, e) < 0)
		return -1;
	if (!*user && d->has_image)
		user = d->image.config.user;
	if (rootfs_user(d->ctr, d->root ? d->root->mounts : NULL, d->root ? d->root->n_mounts : 0,
			d->rootfs, user, &g.user, e) < 0)
		return -1;
	g.root_path = d->rootfs;
	g.uid_mappings = d->idmaps.uids;
	g.gid_mappings = d->idmaps.gids;
	if (generate_spec(&g, &d->spec, e) < 0 ||
	    spec_add_named_devices(d->args, &d->spec, e) < 0 ||
	    spec_add_blockio(d->args, &d->spec, e) < 0)
		return -1;
	d->spec_len = strlen(d->spec);
	return 0;
}

static int read_spec(struct draft *d, const char *path, struct err *e)
{
	json_object *o AUTO_JSON = NULL;
	int r = file_read(AT_FDCWD, path, SPEC_MAX, &d->spec, &d->spec_len);

	if (r < 0)
		return err_sys(e, -r, "open %s", path);
	if (jsonr_parse(d->spec, d->spec_len, &o, e) < 0)
		return err_wrap(e, "parse %s", path);
	return 0;
}

static void set_labels(struct draft *d, CONTAINERS(Container) * c)
{
	struct labels l = { 0 };
	size_t n;
	const char *const *words = args_list(d->args, "label", &n);

	for (size_t i = 0; d->has_image && i < d->image.config.n_labels; i++) {
		const struct oci_annotation *a = &d->image.config.labels[i];

		/* what an image says must not steer the daemon */
		if (label_is_valid(a->key, a->value) && !strstr(a->key, "containerd.io/") &&
		    !str_starts(a->key, "io.cri-containerd") &&
		    !str_starts(a->key, "io.containerd."))
			labels_add(d->ctr->arena, &l, a->key, a->value);
	}
	labels_parse(d->ctr->arena, words, n, &l);
	if (*args_string(d->args, "restart")) {
		labels_add(d->ctr->arena, &l, "containerd.io/restart.status", "running");
		labels_add(d->ctr->arena, &l, "containerd.io/restart.policy",
			   args_string(d->args, "restart"));
	}
	for (size_t i = 0; d->more && i < d->more->n; i++)
		if (!labels_get(&l, d->more->keys[i]))
			labels_add(d->ctr->arena, &l, d->more->keys[i], d->more->values[i]);
	if (d->has_image)
		labels_add(d->ctr->arena, &l, STOP_SIGNAL_LABEL,
			   *d->image.config.stop_signal ? d->image.config.stop_signal : "SIGTERM");
	c->n_labels = l.n;
	c->labels = (void *)labels_to_pb(
		d->ctr->arena, &l,
		&containerd__services__containers__v1__container__labels_entry__descriptor);
}

/* For runtimes that read a file of their own. */
static Google__Protobuf__Any *config_path_options(struct arena *a, const char *path)
{
	Google__Protobuf__Any *any = ARENA_NEW(a, Google__Protobuf__Any);
	Runtimeoptions__V1__Options opt = RUNTIMEOPTIONS__V1__OPTIONS__INIT;

	google__protobuf__any__init(any);
	opt.config_path = PB(path);
	any->type_url = PB("runtimeoptions.v1.Options");
	any->value.data = arena_alloc(a, runtimeoptions__v1__options__get_packed_size(&opt));
	any->value.len = runtimeoptions__v1__options__pack(&opt, any->value.data);
	return any;
}

static int set_runtime(struct draft *d, CONTAINERS(Container__Runtime) * rt, struct err *e)
{
	Containerd__Runc__V1__Options opt;
	Google__Protobuf__Any *any = ARENA_NEW(d->ctr->arena, Google__Protobuf__Any);
	const struct args *args = d->args;
	size_t n;

	containerd__runc__v1__options__init(&opt);
	rt->name = PB(args_string(args, "runtime"));
	opt.binary_name = PB(args_string(args, "runc-binary"));
	opt.root = PB(args_string(args, "runc-root"));
	opt.systemd_cgroup = args_bool(args, "runc-systemd-cgroup");
	if (*args_string(args, "runtime-config-path")) {
		rt->options = config_path_options(d->ctr->arena,
						  args_string(args, "runtime-config-path"));
		return 0;
	}
	if (!str_starts(rt->name, "io.containerd.runc.")) {
		if (*opt.binary_name || *opt.root || opt.systemd_cgroup)
			return err_set(
				e, ERR_INVALID_ARGUMENT,
				"--runc-* options are for the runtime io.containerd.runc.v2 only");
		return 0;
	}
	google__protobuf__any__init(any);
	n = containerd__runc__v1__options__get_packed_size(&opt);
	any->type_url = PB("containerd.runc.v1.Options");
	any->value.data = arena_alloc(d->ctr->arena, n + 1);
	any->value.len = containerd__runc__v1__options__pack(&opt, any->value.data);
	rt->options = any;
	return 0;
}

static int send_container(struct draft *d, CONTAINERS(Container) * *ret, struct err *e)
{
	CONTAINERS(CreateContainerRequest) req = CONTAINERS_INIT(CREATE_CONTAINER_REQUEST);
	CONTAINERS(Container) c = CONTAINERS_INIT(CONTAINER);
	CONTAINERS(Container__Runtime) rt = CONTAINERS_INIT(CONTAINER__RUNTIME);
	Google__Protobuf__Any spec = GOOGLE__PROTOBUF__ANY__INIT;
	CONTAINERS(CreateContainerResponse) * rsp;

	c.id = PB(d->id);
	set_labels(d, &c);
	if (set_runtime(d, &rt, e) < 0)
		return -1;
	c.runtime = &rt;
	spec.type_url = PB(SPEC_TYPE);
	spec.value = (ProtobufCBinaryData){ d->spec_len, (uint8_t *)d->spec };
	c.spec = &spec;
	c.sandbox = PB(args_string(d->args, "sandbox"));
	if (d->has_image) {
		c.image = PB(d->image_name);
		c.snapshotter = PB(d->snapshotter);
		c.snapshot_key = PB(d->id);
	}
	if (d->wishes && network_mark(d->ctr, d->wishes, &c, e) < 0)
		return -1;
	req.container = &c;
	if (CTR_CALL(d->ctr, "containers.v1.Containers/Create", &req,
		     containers__v1__create_container_response, &rsp, e) < 0)
		return -1;
	if (!rsp->container)
		return err_set(e, ERR_INTERNAL, "the daemon answered without a container");
	*ret = rsp->container;
	return 0;
}

static int create(struct draft *d, CONTAINERS(Container) * *ret, struct err *e)
{
	const char *config = args_string(d->args, "config");
	struct err ignored = { 0 };
	int r = 0;

	if (idmap_flags_read(d->ctr->arena, d->args, &d->idmaps, e) < 0)
		return -1;
	/* what is only read needs no lease, and is asked for while one is made */
	if (ctr_lease_begin(d->ctr, e) < 0)
		return -1;
	if (d->image_name)
		r = load_image(d, e);
	if (ctr_lease_confirm(d->ctr, r < 0 ? &ignored : e) < 0 || r < 0)
		return -1;
	if (d->image_name && prepare_root(d, e) < 0)
		return -1;
	if (d->root && !d->is_remapped)
		r = idmap_flags_check(&d->idmaps, d->root->n_mounts ? d->root->mounts[0] : NULL,
				      d->snapshotter, e);
	if (r == 0)
		r = *config ? read_spec(d, config, e) : write_spec(d, e);
	if (r == 0)
		r = send_container(d, ret, e);
	if (r < 0 && d->root)
		(void)remove_snapshot(d->ctr, d->snapshotter, d->id,
				      &(struct err){ 0 }); /* e says why */
	free(d->spec);
	return r;
}

const char *container_name(const struct args *args)
{
	return args_at(args, args_is_set(args, "config") ? 0 : 1);
}

/* Which of the three forms it is: an image, a folder, a spec file. */
static int read_names(struct draft *d, struct err *e)
{
	const struct args *args = d->args;
	bool has_config = args_is_set(args, "config");
	char *path;

	if (has_config && args->n > 1)
		return err_set(e, ERR_UNKNOWN,
			       "with spec config file, only container id should be provided");
	if (!has_config && !*args_at(args, 0))
		return err_set(e, ERR_UNKNOWN,
			       args_bool(args, "rootfs") ? "image ref or rootfs must be provided"
							 : "image ref must be provided");
	d->id = container_name(args);
	if (!*d->id)
		return err_set(e, ERR_UNKNOWN, "container id must be provided");
	if (!ident_is_valid(d->id))
		return err_set(
			e, ERR_INVALID_ARGUMENT,
			"create container failed validation: container.ID: identifier \"%s\" must "
			"match ^[A-Za-z0-9]+(?:[._-](?:[A-Za-z0-9]+))*$",
			d->id);
	if (has_config)
		return 0;
	if (!args_bool(args, "rootfs")) {
		d->image_name = args_at(args, 0);
		return 0;
	}
	path = realpath(args_at(args, 0), NULL);
	if (!path)
		return err_sys(e, errno, "rootfs %s", args_at(args, 0));
	d->rootfs = arena_strdup(d->ctr->arena, path);
	free(path);
	return 0;
}

int container_create(struct ctr *ctr, const struct args *args, const struct labels *more,
		     CONTAINERS(Container) * *ret, SNAPSHOTS(PrepareSnapshotResponse) * *ret_root,
		     struct err *e)
{
	struct draft d = { .ctr = ctr, .args = args, .more = more };
	int r;

	if (read_names(&d, e) < 0 || network_wishes(ctr, args, &d.wishes, e) < 0)
		return -1;
	r = create(&d, ret, e);
	ctr_lease_let_go(ctr); /* nobody waits for that */
	if (ret_root)
		*ret_root = r == 0 ? d.root : NULL;
	return r;
}
