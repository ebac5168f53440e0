/* -info: containerd.types.RuntimeInfo on stdout. */
#include "base/log.h"
#include "base/mem.h"
#include "containerd/types/introspection.pb-c.h"
#include "google/protobuf/any.pb-c.h"
#include "os/fd.h"
#include "shim/actions_priv.h"
#include "shim/options.h"

/* The forms of log that the built-in driver writes: a client asks before it names one to a shim
 * that may be another's (cmd/ctr/log_uri.c). */
#define SHIM_LOG_ANNOTATION "casco.log-drivers"

static int info(struct arena *a, struct err *e)
{
	Containerd__Types__RuntimeInfo r = CONTAINERD__TYPES__RUNTIME_INFO__INIT;
	Containerd__Types__RuntimeVersion v = CONTAINERD__TYPES__RUNTIME_VERSION__INIT;
	Containerd__Types__RuntimeInfo__AnnotationsEntry
		annotation = CONTAINERD__TYPES__RUNTIME_INFO__ANNOTATIONS_ENTRY__INIT,
		*annotations[] = { &annotation };
	AUTO_FREE char *bytes = NULL;
	size_t n;
	Google__Protobuf__Any *options = NULL;
	struct shim_options o;

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

	size_t len = containerd__types__runtime_info__get_packed_size(&r);
	uint8_t *out = arena_alloc(a, len + 1);

	containerd__types__runtime_info__pack(&r, out);
	if (options)
		google__protobuf__any__free_unpacked(options, NULL);

	int w = fd_write_all(STDOUT_FILENO, out, len);

	return w < 0 ? err_sys(e, -w, "write to stdout") : 0;
}

int shim_info(UNUSED const char *self)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };

	return info(a, &e) < 0 ? shim_fail(&e) : 0;
}
