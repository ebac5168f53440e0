/* metav1.Status: how the end of an exec or an attach is told, from protocol v4 on. */
#include "api/cri/stream_priv.h"
#include "base/jsonw.h"

enum { INTERNAL_ERROR = 500 };

static void begin(struct jsonw *w, struct str *out, const char *status)
{
	jsonw_init(w, out, 0);
	jsonw_object(w);
	jsonw_key(w, "metadata");
	jsonw_object(w);
	jsonw_end(w);
	jsonw_kstring(w, "status", status);
}

/* {"causes":[{"reason":REASON,"message":MESSAGE}]} */
static void details(struct jsonw *w, const char *reason, const char *message)
{
	jsonw_key(w, "details");
	jsonw_object(w);
	jsonw_key(w, "causes");
	jsonw_array(w);
	jsonw_object(w);
	if (reason)
		jsonw_kstring(w, "reason", reason);
	jsonw_kstring(w, "message", message);
	jsonw_end(w);
	jsonw_end(w);
	jsonw_end(w);
}

void stream_status_success(struct str *out)
{
	struct jsonw w;

	begin(&w, out, "Success");
	jsonw_end(&w);
}

void stream_status_exit(const char *message, uint32_t code, struct str *out)
{
	AUTO_STR struct str text = STR_INIT(1 << 16);
	AUTO_FREE char *number = xasprintf("%u", code);
	struct jsonw w;

	str_addf(&text, "command terminated with non-zero exit code: %s", message);
	begin(&w, out, "Failure");
	jsonw_kstring(&w, "message", str_c(&text));
	jsonw_kstring(&w, "reason", "NonZeroExitCode");
	details(&w, "ExitCode", number);
	jsonw_end(&w);
}

void stream_status_error(const char *message, struct str *out)
{
	AUTO_STR struct str text = STR_INIT(1 << 16);
	struct jsonw w;

	str_addf(&text, "Internal error occurred: %s", message);
	begin(&w, out, "Failure");
	jsonw_kstring(&w, "message", str_c(&text));
	jsonw_kstring(&w, "reason", "InternalError");
	details(&w, NULL, message);
	jsonw_ki64(&w, "code", INTERNAL_ERROR);
	jsonw_end(&w);
}
