/* --uidmap and --gidmap: a user namespace, and the labels by which the snapshotter shows the
 * image's files to it. */
#include "cmd/ctr/container.h"

#include "base/num.h"

#include <string.h>

static int read_one(char *word, struct oci_idmapping *ret)
{
	char *host = strchr(word, ':'), *size = host ? strchr(host + 1, ':') : NULL;
	uint64_t n[3] = { 0 };

	if (host)
		*host++ = 0;
	if (size)
		*size++ = 0;
	if (!size || num_u64(word, &n[0]) < 0 || num_u64(host, &n[1]) < 0 ||
	    num_u64(size, &n[2]) < 0 || n[0] >= UINT32_MAX || n[1] >= UINT32_MAX ||
	    n[2] > UINT32_MAX)
		return -1;
	*ret = (struct oci_idmapping){ .container_id = (uint32_t)n[0],
				       .host_id = (uint32_t)n[1],
				       .size = (uint32_t)n[2] };
	return 0;
}

static int read_maps(struct arena *a, const struct args *args, const char *flag,
		     struct oci_idmappings *ret, struct err *e)
{
	size_t n;
	const char *const *words = args_list(args, flag, &n);

	*ret = (struct oci_idmappings){ arena_array(a, n, sizeof *ret->v), n };
	for (size_t i = 0; i < n; i++)
		if (read_one(arena_strdup(a, words[i]), &ret->v[i]) < 0)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "--%s %s: expected container-id:host-id:length", flag,
				       words[i]);
	return 0;
}

int idmap_flags_read(struct arena *a, const struct args *args, struct idmap_flags *ret,
		     struct err *e)
{
	if (read_maps(a, args, "uidmap", &ret->uids, e) < 0 ||
	    read_maps(a, args, "gidmap", &ret->gids, e) < 0)
		return -1;
	if (!ret->uids.n != !ret->gids.n)
		return err_set(e, ERR_INVALID_ARGUMENT, "--uidmap and --gidmap belong together");
	return 0;
}

static const char *label_value(struct arena *a, const struct oci_idmappings *m)
{
	const char *s = "";

	for (size_t i = 0; i < m->n; i++)
		s = arena_printf(a, "%s%s%u:%u:%u", s, i ? "," : "", m->v[i].container_id,
				 m->v[i].host_id, m->v[i].size);
	return s;
}

void idmap_flags_labels(struct arena *a, const struct idmap_flags *maps, struct labels *l)
{
	if (!maps->uids.n)
		return;
	labels_add(a, l, "containerd.io/snapshot/uidmapping", label_value(a, &maps->uids));
	labels_add(a, l, "containerd.io/snapshot/gidmapping", label_value(a, &maps->gids));
}

int idmap_flags_check(const struct idmap_flags *maps, const Containerd__Types__Mount *m,
		      const char *snapshotter, struct err *e)
{
	if (!maps->uids.n)
		return 0;
	for (size_t i = 0; m && i < m->n_options; i++)
		if (strncmp(m->options[i], "uidmap=", 7) == 0)
			return 0;
	return err_set(e, ERR_UNIMPLEMENTED,
		       "snapshotter %s cannot map ids: use overlayfs or erofs", snapshotter);
}
