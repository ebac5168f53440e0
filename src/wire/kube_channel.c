#include "wire/kube_channel.h"

#include "base/base64.h"

#include <string.h>

enum { DIGITS = 10 };

static const struct kube_channel_protocol protocols[] = {
	{ "v5.channel.k8s.io", false, true, true },
	{ "v4.channel.k8s.io", false, true, false },
	{ "v4.base64.channel.k8s.io", true, true, false },
	{ "channel.k8s.io", false, false, false },
	{ "base64.channel.k8s.io", true, false, false },
	{ "", false, false, false },
};

static const struct kube_channel_protocol *find(const char *name, size_t n)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (strlen(protocols[i].name) == n && memcmp(protocols[i].name, name, n) == 0)
			return &protocols[i];
	return NULL;
}

const struct kube_channel_protocol *kube_channel_choose(const char *list)
{
	if (!list)
		return find("", 0);
	while (*list) {
		size_t blank = strspn(list, " \t,"), n = strcspn(list + blank, " \t,");
		const struct kube_channel_protocol *p = n ? find(list + blank, n) : NULL;

		if (p)
			return p;
		list += blank + n;
	}
	return NULL;
}

/* --- base64 --- */

/* Four characters are one to three bytes. */
static int decode_quad(const uint8_t q[4], uint8_t *ret)
{
	int v[4], pad = (q[2] == '=') + (q[3] == '=');

	for (int i = 0; i < 4; i++)
		v[i] = i >= 4 - pad ? 0 : base64_value((char)q[i]);
	if (v[0] < 0 || v[1] < 0 || v[2] < 0 || v[3] < 0)
		return -1;
	ret[0] = (uint8_t)(v[0] << 2 | v[1] >> 4);
	ret[1] = (uint8_t)(v[1] << 4 | v[2] >> 2);
	ret[2] = (uint8_t)(v[2] << 6 | v[3]);
	return 3 - pad;
}

static const char *decode(struct kube_channel_in *c, const uint8_t *p, size_t n, size_t *ret_n)
{
	*ret_n = 0;
	for (size_t i = 0; i < n; i++) {
		if (c->is_padded)
			return "base64 behind its end";
		c->quad[c->n_quad++] = p[i];
		if (c->n_quad < 4)
			continue;

		int got = decode_quad(c->quad, c->out + *ret_n);

		if (got < 0)
			return "no base64";
		*ret_n += (size_t)got;
		c->n_quad = 0;
		c->is_padded = got < 3;
	}
	return NULL;
}

/* --- messages --- */

static const char *start(struct kube_channel_in *c, uint8_t first)
{
	c->n_quad = 0;
	c->is_padded = false;
	c->number = first;
	if (!c->protocol->is_base64)
		return NULL;
	if (first < '0' || first >= '0' + DIGITS)
		return "a message without the digit of its channel";
	c->number = first - '0';
	return NULL;
}

const char *kube_channel_read(struct kube_channel_in *c, const struct ws_event *piece,
			      struct kube_channel_event *ret)
{
	const uint8_t *p = piece->bytes;
	const char *bad = NULL;
	size_t n = piece->n;

	*ret = (struct kube_channel_event){ .number = -1 };
	if (piece->is_first)
		c->number = -1;
	if (c->number < 0 && n) {
		bad = start(c, *p++);
		n--;
	}
	if (c->number < 0 || bad)
		return bad;
	if (c->protocol->has_close && c->number == KUBE_CHANNEL_CLOSE) {
		if (n)
			*ret = (struct kube_channel_event){ .number = *p, .is_close = true };
		return n > 1 ? "more than one channel to close" : NULL;
	}
	if (c->protocol->is_base64) {
		bad = decode(c, p, n, &n);
		p = c->out;
		if (!bad && piece->is_last && c->n_quad)
			bad = "base64 that is cut off";
	}
	*ret = (struct kube_channel_event){ .number = c->number, .bytes = p, .n = n };
	return bad;
}

void kube_channel_send(struct ws *w, const struct kube_channel_protocol *p, unsigned number,
		       const void *bytes, size_t n)
{
	AUTO_STR struct str text = STR_INIT(2 * WS_DATA_MAX);
	char first = (char)(p->is_base64 ? '0' + number : number);

	if (p->is_base64) {
		str_add_base64(&text, bytes, n);
		bytes = str_c(&text);
		n = text.len;
	}
	ws_send(w, p->is_base64, &first, 1, bytes, n);
}
