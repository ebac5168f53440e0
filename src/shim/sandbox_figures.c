#include "shim/sandbox_figures.h"

#include "base/jsonw.h"
#include "containerd/runtime/sandbox/v1/sandbox.pb-c.h"
#include "shim/stats.h"
#include "shim/task.h"

#include <string.h>
#include <time.h>

#define V1(name) Containerd__Runtime__Sandbox__V1__##name
#define V1_INIT(name) CONTAINERD__RUNTIME__SANDBOX__V1__##name##__INIT

enum { INFO_MAX = 1 << 20 };

const char *sandbox_info(const struct shim *s, struct arena *a)
{
	AUTO_STR struct str out = STR_INIT(INFO_MAX);
	struct jsonw w;

	jsonw_init(&w, &out, 0);
	jsonw_object(&w);
	jsonw_ki64(&w, "pid", getpid());
	jsonw_key(&w, "containers");
	jsonw_array(&w);
	for (const struct container *c = s->containers; c; c = c->next) {
		if (c->is_creating)
			continue;
		jsonw_object(&w);
		jsonw_kstring(&w, "id", c->id);
		jsonw_ki64(&w, "pid", c->init.pid);
		jsonw_kstring(&w, "state", proc_state_names[c->init.state]);
		jsonw_end(&w);
	}
	jsonw_end(&w);
	jsonw_end(&w);
	return arena_strdup(a, out.over ? "{}" : str_c(&out));
}

/* --- sums --- */

static bool is_device_number(const ProtobufCFieldDescriptor *f)
{
	return strcmp(f->name, "major") == 0 || strcmp(f->name, "minor") == 0;
}

static bool is_same_entry(const ProtobufCMessage *x, const ProtobufCMessage *y)
{
	for (unsigned i = 0; i < x->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &x->descriptor->fields[i];
		const char *p = (const char *)x + f->offset, *q = (const char *)y + f->offset;

		if (f->type == PROTOBUF_C_TYPE_STRING &&
		    strcmp(*(char *const *)p, *(char *const *)q) != 0)
			return false;
		if (is_device_number(f) && memcmp(p, q, sizeof(uint64_t)) != 0)
			return false;
	}
	return true;
}

static void add_u64(uint64_t *to, uint64_t more)
{
	if (__builtin_add_overflow(*to, more, to))
		*to = UINT64_MAX; /* no limit is no limit */
}

static void add_entries(struct arena *a, ProtobufCMessage ***to, size_t *n_to,
			ProtobufCMessage *const *from, size_t n)
{
	ProtobufCMessage **v = arena_array(a, *n_to + n, sizeof *v);

	if (*n_to)
		memcpy(v, *to, *n_to * sizeof *v);
	*to = v;
	for (size_t i = 0; i < n; i++) {
		size_t at = 0;

		while (at < *n_to && !is_same_entry(v[at], from[i]))
			at++;
		if (at < *n_to)
			figures_add(a, v[at], from[i]);
		else
			v[(*n_to)++] = from[i];
	}
}

static void add_list(struct arena *a, const ProtobufCFieldDescriptor *f, ProtobufCMessage *to,
		     const ProtobufCMessage *from)
{
	size_t *n_to = (size_t *)((char *)to + f->quantifier_offset);
	size_t n = *(const size_t *)((const char *)from + f->quantifier_offset);
	void *p = (char *)to + f->offset;
	const void *q = (const char *)from + f->offset;

	if (f->type == PROTOBUF_C_TYPE_MESSAGE)
		add_entries(a, p, n_to, *(ProtobufCMessage *const *const *)q, n);
	if (f->type == PROTOBUF_C_TYPE_UINT64) /* of each processor */
		for (size_t i = 0; i < n && i < *n_to; i++)
			add_u64(&(*(uint64_t **)p)[i], (*(uint64_t *const *)q)[i]);
}

void figures_add(struct arena *a, ProtobufCMessage *to, const ProtobufCMessage *from)
{
	for (unsigned i = 0; i < to->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &to->descriptor->fields[i];
		void *p = (char *)to + f->offset;
		const void *q = (const char *)from + f->offset;

		if (f->label == PROTOBUF_C_LABEL_REPEATED) {
			add_list(a, f, to, from);
		} else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
			ProtobufCMessage **mine = p, *other = *(ProtobufCMessage *const *)q;

			if (*mine && other)
				figures_add(a, *mine, other);
			else if (other)
				*mine = other;
		} else if (f->type == PROTOBUF_C_TYPE_UINT64 && !is_device_number(f)) {
			add_u64(p, *(const uint64_t *)q);
		} else if (f->type == PROTOBUF_C_TYPE_DOUBLE && *(double *)p < *(const double *)q) {
			*(double *)p = *(const double *)q;
		}
	}
}

/* One without figures, since it is ending just now, adds none. */
static ProtobufCMessage *sum(const struct shim *s, struct arena *a)
{
	ProtobufCMessage *all = NULL;

	for (struct container *c = s->containers; c; c = c->next) {
		struct err e = { 0 };
		ProtobufCMessage *m = c->is_creating ? NULL : stats_of(c, a, &e);

		if (all && m)
			figures_add(a, all, m);
		else if (m)
			all = m;
	}
	return all;
}

void sandbox_metrics(struct ttrpc_call *call)
{
	const V1(SandboxMetricsRequest) *q = call->req;
	V1(SandboxMetricsResponse) r = V1_INIT(SANDBOX_METRICS_RESPONSE);
	Containerd__Types__Metric m = CONTAINERD__TYPES__METRIC__INIT;
	Google__Protobuf__Timestamp at = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	AUTO_ARENA struct arena *a = arena_new();
	const char *id = sandbox_id(call->user);
	struct timespec now;
	struct err e = { 0 };

	if (!id || strcmp(id, q->sandbox_id) != 0) {
		err_set(&e, ERR_NOT_FOUND, "sandbox %s", q->sandbox_id);
		ttrpc_fail(call, &e);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	at.seconds = now.tv_sec;
	at.nanos = (int32_t)now.tv_nsec;
	m.timestamp = &at;
	m.id = (char *)id;

	ProtobufCMessage *all = sum(call->user, a);
	if (all)
		m.data = stats_pack(all, a);
	r.metrics = &m;
	ttrpc_reply(call, &r.base);
}
