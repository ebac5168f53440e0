/* A request's head, then WebSocket frames with Kubernetes' channels in them: the first byte of the
 * input chooses the protocol and how the rest is cut. */
#include "base/mem.h"
#include "wire/http1.h"
#include "wire/kube_channel.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void read_frames(const char *protocol, uint8_t *bytes, size_t n, size_t step)
{
	struct kube_channel_in *c = NEW(struct kube_channel_in);
	struct ws w = WS_INIT;

	c->protocol = kube_channel_choose(protocol);
	for (size_t at = 0; at < n;) {
		size_t len = n - at < step ? n - at : step;
		struct kube_channel_event got;
		struct ws_event ev;
		size_t used = ws_push(&w, bytes + at, len, &ev);

		if (!used || used > len || w.out.over)
			__builtin_trap();
		at += used;
		if (ev.kind == WS_PIECE && !kube_channel_read(c, &ev, &got) && got.number >= 0 &&
		    !got.is_close && got.n <= WS_DATA_MAX)
			kube_channel_send(&w, c->protocol, 1, got.bytes, got.n);
		str_reset(&w.out);
	}
	ws_done(&w);
	free(c);
}

static void read_request(uint8_t *bytes, size_t n)
{
	struct http1_request r;
	int used = http1_parse((char *)bytes, n, &r);

	if (used > (int)n)
		__builtin_trap();
	for (size_t i = 0; used > 0 && i < r.n_fields; i++)
		(void)http1_has_word(&r, r.fields[i].name, "upgrade");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const names[] = { "v5.channel.k8s.io", "v4.channel.k8s.io",
					     "v4.base64.channel.k8s.io", "base64.channel.k8s.io" };

	if (!n)
		return 0;
	AUTO_FREE uint8_t *copy = xmemdup(data + 1, n - 1), *again = xmemdup(data + 1, n - 1);

	read_frames(names[data[0] % 4], copy, n - 1, data[0] / 4 % 16 + 1);
	read_request(again, n - 1);
	return 0;
}
