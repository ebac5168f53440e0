#include "os/dbus_value.h"

#include <inttypes.h>
#include <string.h>

struct dbus_value dbus_bool(bool v)
{
	return (struct dbus_value){ .type = 'b', .u.number = v };
}

struct dbus_value dbus_u32(uint32_t v)
{
	return (struct dbus_value){ .type = 'u', .u.number = v };
}

struct dbus_value dbus_u64(uint64_t v)
{
	return (struct dbus_value){ .type = 't', .u.number = v };
}

struct dbus_value dbus_string(const char *v)
{
	return (struct dbus_value){ .type = 's', .u.text = v };
}

struct dbus_value dbus_array(struct arena *a, const char *element, const struct dbus_value *v,
			     size_t n)
{
	return (struct dbus_value){ .type = 'a',
				    .element = element,
				    .v = n ? arena_memdup(a, v, n * sizeof *v) : NULL,
				    .n = n };
}

struct dbus_value dbus_bytes(struct arena *a, const void *bytes, size_t n)
{
	struct dbus_value out = { .type = 'a', .element = "y", .n = n };
	const unsigned char *p = bytes;

	out.v = arena_array(a, n, sizeof *out.v);
	for (size_t i = 0; i < n; i++)
		out.v[i] = (struct dbus_value){ .type = 'y', .u.number = p[i] };
	return out;
}

struct dbus_value dbus_struct(struct arena *a, const struct dbus_value *v, size_t n)
{
	return (struct dbus_value){ .type = '(', .v = arena_memdup(a, v, n * sizeof *v), .n = n };
}

struct dbus_value dbus_variant(struct arena *a, struct dbus_value v)
{
	return (struct dbus_value){ .type = 'v', .v = arena_memdup(a, &v, sizeof v), .n = 1 };
}

void dbus_signature(const struct dbus_value *v, struct str *out)
{
	switch (v->type) {
	case 'a':
		str_addc(out, 'a');
		str_add(out, v->element);
		return;
	case '(':
	case '{':
		str_addc(out, v->type);
		for (size_t i = 0; i < v->n; i++)
			dbus_signature(&v->v[i], out);
		str_addc(out, v->type == '(' ? ')' : '}');
		return;
	default:
		str_addc(out, v->type);
	}
}

static size_t alignment(char type)
{
	switch (type) {
	case 'y':
	case 'g':
	case 'v':
		return 1;
	case 'n':
	case 'q':
		return 2;
	case 'x':
	case 't':
	case 'd':
	case '(':
	case '{':
		return 8;
	default:
		return 4;
	}
}

static void align(struct str *out, size_t to)
{
	while (out->len % to && !out->over)
		str_addc(out, 0);
}

static void put_number(struct str *out, uint64_t v, size_t n)
{
	align(out, n);
	for (size_t i = 0; i < n; i++)
		str_addc(out, (char)(v >> (8 * i)));
}

static void put_text(struct str *out, char type, const char *text)
{
	put_number(out, strlen(text), type == 'g' ? 1 : 4);
	str_addn(out, text, strlen(text) + 1);
}

/* The length comes before the padding to the first element, and does not count it. */
static void put_array(struct str *out, const struct dbus_value *v)
{
	put_number(out, 0, 4);
	size_t length_at = out->len - 4;
	align(out, alignment(*v->element));
	size_t start = out->len;
	for (size_t i = 0; i < v->n; i++)
		dbus_put(out, &v->v[i]);
	if (out->over)
		return;
	for (size_t i = 0; i < 4; i++)
		out->ptr[length_at + i] = (char)((out->len - start) >> (8 * i));
}

void dbus_put(struct str *out, const struct dbus_value *v)
{
	AUTO_STR struct str signature = STR_INIT(DBUS_SIGNATURE_MAX);
	uint64_t number = v->u.number;

	switch (v->type) {
	case 's':
	case 'o':
	case 'g':
		put_text(out, v->type, v->u.text);
		return;
	case 'a':
		put_array(out, v);
		return;
	case 'v':
		dbus_signature(v->v, &signature);
		if (signature.over)
			out->over = true;
		put_text(out, 'g', str_c(&signature));
		dbus_put(out, v->v);
		return;
	case '(':
	case '{':
		align(out, 8);
		for (size_t i = 0; i < v->n; i++)
			dbus_put(out, &v->v[i]);
		return;
	case 'd':
		memcpy(&number, &v->u.real, sizeof number);
		put_number(out, number, 8);
		return;
	default:
		put_number(out, number, alignment(v->type));
	}
}

static void print_list(const struct dbus_value *v, struct str *out, const char *open,
		       const char *close)
{
	str_add(out, open);
	for (size_t i = 0; i < v->n; i++) {
		if (i)
			str_add(out, v->type == '{' ? ": " : ", ");
		dbus_print(&v->v[i], out);
	}
	str_add(out, close);
}

void dbus_print(const struct dbus_value *v, struct str *out)
{
	switch (v->type) {
	case 'b':
		str_add(out, v->u.number ? "true" : "false");
		return;
	case 'y':
		str_addf(out, "0x%02x", (unsigned)v->u.number);
		return;
	case 'n':
	case 'i':
	case 'x':
		str_addf(out, "%s%" PRId64,
			 v->type == 'i'   ? ""
			 : v->type == 'n' ? "int16 "
					  : "int64 ",
			 (int64_t)v->u.number);
		return;
	case 'q':
	case 'u':
	case 't':
		str_addf(out, "%s %" PRIu64,
			 v->type == 'q'   ? "uint16"
			 : v->type == 'u' ? "uint32"
					  : "uint64",
			 v->u.number);
		return;
	case 'd':
		str_addf(out, "%g", v->u.real);
		return;
	case 'a':
		if (!v->n)
			str_addf(out, "@a%s ", v->element);
		if (*v->element == '{')
			print_list(v, out, "{", "}");
		else
			print_list(v, out, "[", "]");
		return;
	case '(':
		print_list(v, out, "(", ")");
		return;
	case '{':
		print_list(v, out, "", "");
		return;
	case 'v':
		print_list(v, out, "<", ">");
		return;
	default:
		str_addf(out, "%s'%s'",
			 v->type == 's'   ? ""
			 : v->type == 'o' ? "objectpath "
					  : "signature ",
			 v->u.text);
	}
}
