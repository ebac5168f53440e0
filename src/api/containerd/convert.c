#include "api/containerd/convert.h"

#include "base/timefmt.h"

#include <string.h>

/* What protobuf-c generates for every entry of a map<string, string>. */
struct entry {
	ProtobufCMessage base;
	char *key, *value;
};

struct timespec conv_time(const Google__Protobuf__Timestamp *t)
{
	if (!t || t->seconds == TIMEFMT_GO_ZERO_SEC || t->nanos < 0 || t->nanos > 999999999)
		return (struct timespec){ 0 };
	return (struct timespec){ t->seconds, t->nanos };
}

Google__Protobuf__Timestamp *conv_timestamp(struct arena *a, struct timespec t)
{
	Google__Protobuf__Timestamp *m = ARENA_NEW(a, Google__Protobuf__Timestamp);

	google__protobuf__timestamp__init(m);
	m->seconds = t.tv_sec || t.tv_nsec ? t.tv_sec : TIMEFMT_GO_ZERO_SEC;
	m->nanos = (int32_t)t.tv_nsec;
	return m;
}

struct keyed {
	struct label label;
	size_t at;
};

static int compare(const void *x, const void *y)
{
	const struct keyed *p = x, *q = y;
	int r = strcmp(p->label.key, q->label.key);

	return r ?: (p->at > q->at) - (p->at < q->at);
}

/* Sorted, so that a million entries cost no square of it. */
struct labels conv_labels(struct arena *a, size_t n, const void *entries)
{
	const struct entry *const *in = entries;
	struct labels l = { n ? arena_array(a, n, sizeof *l.v) : NULL, 0 };
	AUTO_FREE struct keyed *sorted = xcalloc(n, sizeof *sorted);

	for (size_t i = 0; i < n; i++)
		sorted[i] = (struct keyed){ { in[i]->key, in[i]->value }, i };
	qsort(sorted, n, sizeof *sorted, compare);
	for (size_t i = 0; i < n; i++)
		if (i + 1 == n || strcmp(sorted[i].label.key, sorted[i + 1].label.key) != 0)
			l.v[l.n++] = sorted[i].label;
	return l;
}

void *conv_entries(struct arena *a, const struct labels *l, const ProtobufCMessageDescriptor *type,
		   size_t *ret_n)
{
	struct entry **v = arena_array(a, l->n, sizeof *v);

	if (type->sizeof_message != sizeof(struct entry))
		BUG("not a map of strings");
	for (size_t i = 0; i < l->n; i++) {
		v[i] = arena_alloc(a, sizeof **v);
		type->message_init(&v[i]->base);
		v[i]->key = arena_strdup(a, l->v[i].key);
		v[i]->value = arena_strdup(a, l->v[i].value ?: "");
	}
	*ret_n = l->n;
	return v;
}

struct any conv_any(const Google__Protobuf__Any *m)
{
	if (!m)
		return (struct any){ 0 };
	return (struct any){ m->type_url, m->value.data, m->value.len };
}

Google__Protobuf__Any *conv_lend_any(struct arena *a, const struct any *any)
{
	if (!any->type_url)
		return NULL;

	Google__Protobuf__Any *m = ARENA_NEW(a, Google__Protobuf__Any);
	google__protobuf__any__init(m);
	m->type_url = (char *)any->type_url;
	m->value.len = any->n;
	m->value.data = any->n ? (uint8_t *)any->value : NULL;
	return m;
}

Google__Protobuf__Any *conv_to_any(struct arena *a, const struct any *any)
{
	Google__Protobuf__Any *m = conv_lend_any(a, any);

	if (m) {
		m->type_url = arena_strdup(a, m->type_url);
		m->value.data = m->value.len ? arena_memdup(a, m->value.data, m->value.len) : NULL;
	}
	return m;
}

struct any conv_pack(struct arena *a, const ProtobufCMessage *msg)
{
	size_t n = protobuf_c_message_get_packed_size(msg);
	uint8_t *p = arena_alloc(a, n);

	protobuf_c_message_pack(msg, p);
	return (struct any){ msg->descriptor->name, p, n };
}

static void *alloc_in(void *arena, size_t n)
{
	return arena_alloc(arena, n);
}

static void free_in(UNUSED void *arena, UNUSED void *p)
{
}

void *conv_unpack(struct arena *a, const struct any *any, const ProtobufCMessageDescriptor *type)
{
	ProtobufCAllocator alloc = { alloc_in, free_in, a };
	const char *slash;

	if (!any->type_url)
		return NULL;
	slash = strrchr(any->type_url, '/');
	if (strcmp(slash ? slash + 1 : any->type_url, type->name) != 0)
		return NULL;
	return protobuf_c_message_unpack(type, &alloc, any->n, any->value);
}

struct mask conv_mask(const Google__Protobuf__FieldMask *m)
{
	if (!m)
		return (struct mask){ 0 };
	return (struct mask){ (const char *const *)m->paths, m->n_paths };
}

struct mounts conv_mounts(struct arena *a, Containerd__Types__Mount **v, size_t n)
{
	struct mounts m = { .v = arena_array(a, n, sizeof *m.v), .n = n };

	for (size_t i = 0; i < n; i++)
		m.v[i] = (struct mount){ .type = v[i]->type,
					 .source = v[i]->source,
					 .target = v[i]->target,
					 .options = (const char **)v[i]->options,
					 .noptions = v[i]->n_options };
	return m;
}

Containerd__Types__Mount **conv_to_mounts(struct arena *a, const struct mounts *m, size_t *ret_n)
{
	Containerd__Types__Mount **v = arena_array(a, m->n, sizeof *v);

	for (size_t i = 0; i < m->n; i++) {
		v[i] = ARENA_NEW(a, Containerd__Types__Mount);
		containerd__types__mount__init(v[i]);
		v[i]->type = (char *)m->v[i].type;
		v[i]->source = (char *)m->v[i].source;
		v[i]->target = (char *)m->v[i].target;
		v[i]->options = (char **)m->v[i].options;
		v[i]->n_options = m->v[i].noptions;
	}
	*ret_n = m->n;
	return v;
}
