/* Messages: a header of fixed shape, fields of which a few matter, and a body. */
#include "os/dbus_value.h"

#include <errno.h>
#include <string.h>

/* Header fields. */
enum {
	FIELD_PATH = 1,
	FIELD_INTERFACE = 2,
	FIELD_MEMBER = 3,
	FIELD_ERROR_NAME = 4,
	FIELD_REPLY_SERIAL = 5,
	FIELD_DESTINATION = 6,
	FIELD_SENDER = 7,
	FIELD_SIGNATURE = 8,
	FIELDS_AT = 12, /* where their array's length is */
	FIELDS_MAX = 64 << 10,
};

static void skip_to(struct dbus_in *in, size_t to)
{
	while (in->at % to && !in->bad) {
		if (in->at == in->n || in->p[in->at]) /* padding is zero */
			in->bad = true;
		else
			in->at++;
	}
}

static const unsigned char *take(struct dbus_in *in, size_t n)
{
	if (in->bad || n > in->n - in->at) {
		in->bad = true;
		return NULL;
	}
	in->at += n;
	return in->p + in->at - n;
}

static uint32_t u32_at(const unsigned char *p, bool big_endian)
{
	return big_endian
		       ? (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]
		       : (uint32_t)p[3] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[1] << 8 | p[0];
}

uint32_t dbus_get_u32(struct dbus_in *in)
{
	skip_to(in, 4);

	const unsigned char *p = take(in, 4);
	return p ? u32_at(p, in->big_endian) : 0;
}

/* n bytes and their terminator, which must be the first zero. */
static const char *get_text(struct dbus_in *in, size_t n)
{
	const unsigned char *p = n < in->n ? take(in, n + 1) : NULL;

	if (!p || memchr(p, 0, n + 1) != p + n) {
		in->bad = true;
		return "";
	}
	return (const char *)p;
}

const char *dbus_get_string(struct dbus_in *in)
{
	return get_text(in, dbus_get_u32(in));
}

const char *dbus_get_signature(struct dbus_in *in)
{
	const unsigned char *p = take(in, 1);

	return p ? get_text(in, *p) : "";
}

int dbus_message_size(const void *head, size_t *ret)
{
	const unsigned char *p = head;
	bool big = p[0] == 'B';

	if ((!big && p[0] != 'l') || p[3] != 1) /* the protocol's version */
		return -EBADMSG;

	uint32_t body = u32_at(p + 4, big), fields = u32_at(p + FIELDS_AT, big);
	if (body > DBUS_MESSAGE_MAX || fields > FIELDS_MAX)
		return -EMSGSIZE;
	*ret = DBUS_HEADER_MIN + ((size_t)fields + 7) / 8 * 8 + body;
	return *ret > DBUS_MESSAGE_MAX ? -EMSGSIZE : 0;
}

static void take_field(struct dbus_in *in, struct dbus_message *m)
{
	const unsigned char *code;
	const char *type, *text = "";

	skip_to(in, 8);
	code = take(in, 1);
	type = dbus_get_signature(in);
	if (strcmp(type, "u") == 0) {
		uint32_t v = dbus_get_u32(in);

		if (code && *code == FIELD_REPLY_SERIAL)
			m->reply_serial = v;
		return;
	}
	if (strcmp(type, "s") == 0 || strcmp(type, "o") == 0)
		text = dbus_get_string(in);
	else if (strcmp(type, "g") == 0)
		text = dbus_get_signature(in);
	else
		in->bad = true; /* no field of the specification has another type */
	if (!code || in->bad)
		return;
	switch (*code) {
	case FIELD_PATH:
		m->path = text;
		break;
	case FIELD_INTERFACE:
		m->interface = text;
		break;
	case FIELD_MEMBER:
		m->member = text;
		break;
	case FIELD_ERROR_NAME:
		m->error = text;
		break;
	case FIELD_DESTINATION:
		m->destination = text;
		break;
	case FIELD_SENDER:
		m->sender = text;
		break;
	case FIELD_SIGNATURE:
		m->signature = text;
		break;
	default:
		break;
	}
}

int dbus_message_parse(const void *bytes, size_t n, struct dbus_message *ret)
{
	const unsigned char *p = bytes;
	struct dbus_in in = { .p = p, .at = DBUS_HEADER_MIN };
	size_t size;
	int r = n < DBUS_HEADER_MIN ? -EBADMSG : dbus_message_size(bytes, &size);

	*ret = (struct dbus_message){ .path = "",
				      .interface = "",
				      .member = "",
				      .error = "",
				      .destination = "",
				      .sender = "",
				      .signature = "" };
	if (r < 0)
		return r;
	in.big_endian = p[0] == 'B';
	in.n = DBUS_HEADER_MIN + u32_at(p + FIELDS_AT, in.big_endian);
	if (size != n || in.n > n || p[1] < DBUS_METHOD_CALL || p[1] > DBUS_SIGNAL)
		return -EBADMSG;
	ret->type = (enum dbus_type)p[1];
	ret->serial = u32_at(p + 8, in.big_endian);
	while (in.at < in.n && !in.bad)
		take_field(&in, ret);
	if (in.bad || !ret->serial ||
	    (ret->type != DBUS_METHOD_CALL && ret->type != DBUS_SIGNAL && !ret->reply_serial))
		return -EBADMSG;

	size_t start = (in.n + 7) / 8 * 8;
	ret->body = (struct dbus_in){ .p = p + start, .n = n - start, .big_endian = in.big_endian };
	return 0;
}

static void put_field(struct str *out, unsigned char code, char type, const char *text)
{
	struct dbus_value value = { .type = type, .u.text = text };
	struct dbus_value parts[] = { { .type = 'y', .u.number = code },
				      { .type = 'v', .v = &value, .n = 1 } };
	struct dbus_value field = { .type = '(', .v = parts, .n = ARRAY_LEN(parts) };

	if (*text)
		dbus_put(out, &field);
}

static void set_u32(struct str *out, size_t at, size_t v)
{
	for (size_t i = 0; i < 4 && !out->over; i++)
		out->ptr[at + i] = (char)(v >> (8 * i));
}

void dbus_build_call(struct str *out, uint32_t serial, const char *destination, const char *path,
		     const char *interface, const char *member, const struct dbus_value *args,
		     size_t n_args)
{
	AUTO_STR struct str signature = STR_INIT(DBUS_SIGNATURE_MAX);
	AUTO_STR struct str body = STR_INIT(DBUS_MESSAGE_MAX / 2);
	static const char fixed[DBUS_HEADER_MIN] = { 'l', DBUS_METHOD_CALL, 0, 1 };

	for (size_t i = 0; i < n_args; i++) {
		dbus_signature(&args[i], &signature);
		dbus_put(&body, &args[i]);
	}
	str_addn(out, fixed, sizeof fixed);
	put_field(out, FIELD_PATH, 'o', path);
	put_field(out, FIELD_INTERFACE, 's', interface);
	put_field(out, FIELD_MEMBER, 's', member);
	put_field(out, FIELD_DESTINATION, 's', destination);
	put_field(out, FIELD_SIGNATURE, 'g', str_c(&signature));
	set_u32(out, 4, body.len);
	set_u32(out, 8, serial);
	set_u32(out, FIELDS_AT, out->len - DBUS_HEADER_MIN);
	while (out->len % 8 && !out->over)
		str_addc(out, 0);
	if (body.len)
		str_addn(out, body.ptr, body.len);
	if (body.over || signature.over)
		out->over = true;
}
