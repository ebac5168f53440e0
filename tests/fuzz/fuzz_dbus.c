/* What a D-Bus server sends, and the annotations that become values of D-Bus. */
#include "cgroup/systemd.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void text(const uint8_t *data, size_t n)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str out = STR_INIT(DBUS_MESSAGE_MAX);
	const char *s = arena_strndup(a, (const char *)data, n);
	struct dbus_value v;
	struct err e = { 0 };

	if (systemd_parse_value(a, s, &v, &e) < 0)
		return;
	struct dbus_value boxed = dbus_variant(a, v);
	dbus_put(&out, &boxed);
	dbus_print(&boxed, &out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct dbus_message m;
	size_t size;

	if (n >= DBUS_HEADER_MIN)
		(void)dbus_message_size(data, &size);
	if (dbus_message_parse(data, n, &m) == 0)
		for (const char *c = m.signature; *c && !m.body.bad; c++) {
			if (*c == 'u')
				(void)dbus_get_u32(&m.body);
			else if (*c == 'g')
				(void)dbus_get_signature(&m.body);
			else
				(void)dbus_get_string(&m.body);
		}
	text(data, n);
	return 0;
}
