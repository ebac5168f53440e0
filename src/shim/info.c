/* -info: containerd.types.RuntimeInfo on stdout. */
#include "base/log.h"
#include "base/mem.h"
#include "containerd/types/introspection.pb-c.h"
#include "google/protobuf/any.pb-c.h"
#include "os/fd.h"
#include "shim/actions_priv.h"
#include "shim/options.h"
#include "shim/runtime_features.h"

/* The forms of log that the built-in driver writes: a client asks before it names one to a shim
 * that may be another's (cmd/ctr/log_uri.c). */
#define SHIM_LOG_ANNOTATION "casco.log-drivers"

enum { FEATURES_MAX = 1 << 20 };

/* The rest is an answer without it, too. */
static void add_features(const struct shim_options *o, const char *self, struct arena *a,
			 Google__Protobuf__Any *any, Containerd__Types__RuntimeInfo *r)
{
	AUTO_FREE char *own_runc = shim_own_runc(self);
	AUTO_STR struct str text = STR_INIT(FEATURES_MAX);
	struct err e = { 0 };

	if (shim_features(o, own_runc ?: "", &text, &e) < 0 || text.over) {
		log_debug(LOG({ "error", e.msg }), "the runtime's features are not known");
		return;
	}
	any->type_url = (char *)SHIM_FEATURES_URL;
	any->value.data = arena_memdup(a, str_c(&text), text.len);
	any->value.len = text.len;
	r->features = any;
}

static int info(struct arena *a, const char *self, struct err *e)
{
	Containerd__Types__RuntimeInfo r = CONTAINERD__TYPES__RUNTIME_INFO__INIT;
	Containerd__Types__RuntimeVersion v = CONTAINERD__TYPES__RUNTIME_VERSION__INIT;
	Containerd__Types__RuntimeInfo__AnnotationsEntry
		annotation = CONTAINERD__TYPES__RUNTIME_INFO__ANNOTATIONS_ENTRY__INIT,
		*annotations[] = { &annotation };
	AUTO_FREE char *bytes = NULL;
	size_t n;
	Google__Protobuf__Any *options = NULL, features = GOOGLE__PROTOBUF__ANY__INIT;
	struct shim_options o = shim_options_default;

	if (shim_read_stdin(&bytes, &n, e) < 0)
		return -1;
	if (n > 0 && !(options = google__protobuf__any__unpack(NULL, n, (uint8_t *)bytes)))
		return err_set(e, ERR_INVALID_ARGUMENT, "stdin is no message of options");
	if (options && shim_options_decode(a, options->type_url, options->value.data,
					   options->value.len, &o, e) < 0) {
		google__protobuf__any__free_unpacked(options, NULL);
		return -1;
	}
	annotation.key = (char *)SHIM_LOG_ANNOTATION;
	annotation.value = (char *)"cri,json";
	r.annotations = annotations;
	r.n_annotations = ARRAY_LEN(annotations);
	v.version = (char *)CASCO_VERSION;
	r.name = (char *)"io.containerd.runc.v2";
	r.version = &v;
	r.options = options;
	add_features(&o, self, a, &features, &r);

	size_t len = containerd__types__runtime_info__get_packed_size(&r);
	uint8_t *out = arena_alloc(a, len + 1);

	containerd__types__runtime_info__pack(&r, out);
	if (options)
		google__protobuf__any__free_unpacked(options, NULL);

	int w = fd_write_all(STDOUT_FILENO, out, len);

	return w < 0 ? err_sys(e, -w, "write to stdout") : 0;
}

int shim_info(const char *self)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };

	return info(a, self, &e) < 0 ? shim_fail(&e) : 0;
}
