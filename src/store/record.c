#include "store/record.h"

#include "store/container.h"
#include "store/snapshot.h"

#include <string.h>

static void add_u32(struct str *out, size_t n)
{
	uint32_t v = (uint32_t)n;

	str_addn(out, &v, sizeof v);
}

static void add_text(struct str *out, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	add_u32(out, n);
	str_addn(out, s, n);
}

static void add_any(struct str *out, const struct any *any)
{
	add_text(out, any->type_url);
	add_u32(out, any->n);
	str_addn(out, any->value, any->n);
}

static void add_mounts(struct str *out, const struct mounts *m)
{
	add_u32(out, m->n);
	for (size_t i = 0; i < m->n; i++) {
		add_text(out, m->v[i].type);
		add_text(out, m->v[i].source);
		add_text(out, m->v[i].target);
		add_u32(out, m->v[i].noptions);
		for (size_t k = 0; k < m->v[i].noptions; k++)
			add_text(out, m->v[i].options[k]);
	}
}

static void add_value(struct str *out, enum rec_kind kind, const void *p)
{
	switch (kind) {
	case REC_TEXT: {
		const char *s = *(const char *const *)p;

		if (s)
			str_add(out, s);
		break;
	}
	case REC_U64:
		str_addn(out, p, sizeof(uint64_t));
		break;
	case REC_TIME: {
		const struct timespec *t = p;
		int64_t sec = t->tv_sec;

		str_addn(out, &sec, sizeof sec);
		add_u32(out, (size_t)t->tv_nsec);
		break;
	}
	case REC_LABELS: {
		const struct labels *l = p;

		add_u32(out, l->n);
		for (size_t i = 0; i < l->n; i++) {
			add_text(out, l->v[i].key);
			add_text(out, l->v[i].value);
		}
		break;
	}
	case REC_ANY:
		if (((const struct any *)p)->type_url)
			add_any(out, p);
		break;
	case REC_EXTENSIONS: {
		const struct extensions *x = p;

		add_u32(out, x->n);
		for (size_t i = 0; i < x->n; i++) {
			add_text(out, x->v[i].key);
			add_any(out, &x->v[i].any);
		}
		break;
	}
	case REC_MOUNTS:
		add_mounts(out, p);
		break;
	}
}

void rec_encode(struct str *out, const struct rec_field *fields, const void *record)
{
	for (const struct rec_field *f = fields; f->tag; f++) {
		str_addc(out, (char)f->tag);
		size_t at = out->len;

		add_u32(out, 0);
		add_value(out, f->kind, (const char *)record + f->offset);
		if (!out->over) {
			uint32_t n = (uint32_t)(out->len - at - sizeof n);

			memcpy(out->ptr + at, &n, sizeof n);
		}
	}
}

/* --- reading: every length is checked against what is left --- */

struct reader {
	const char *p;
	size_t n;
	bool is_cut, borrows;
};

static const void *take(struct reader *r, size_t n)
{
	if (n > r->n) {
		r->is_cut = true;
		r->n = 0;
		return NULL;
	}
	const char *p = r->p;
	r->p += n;
	r->n -= n;
	return p;
}

static uint32_t take_u32(struct reader *r)
{
	uint32_t v = 0;
	const void *p = take(r, sizeof v);

	if (p)
		memcpy(&v, p, sizeof v);
	return v;
}

static const char *take_text(struct arena *a, struct reader *r)
{
	uint32_t n = take_u32(r);
	const char *p = take(r, n);

	return p ? arena_strndup(a, p, n) : "";
}

static void take_any(struct arena *a, struct reader *r, struct any *ret)
{
	if (r->n == 0)
		return; /* absent */
	ret->type_url = take_text(a, r);
	ret->n = take_u32(r);
	const void *p = take(r, ret->n);

	if (p)
		ret->value = r->borrows ? p : arena_memdup(a, p, ret->n);
	else
		ret->n = 0;
}

/* A count is trusted only as far as the bytes behind it could hold so many. */
static size_t take_count_of(struct reader *r, size_t smallest)
{
	size_t n = take_u32(r);

	if (n > r->n / smallest) {
		r->is_cut = r->is_cut || n > 0;
		return 0;
	}
	return n;
}

static size_t take_count(struct reader *r)
{
	return take_count_of(r, 2 * sizeof(uint32_t)); /* two texts each */
}

static void take_mounts(struct arena *a, struct reader *r, struct mounts *ret)
{
	size_t n = take_count(r);

	ret->v = arena_array(a, n, sizeof *ret->v);
	for (ret->n = 0; ret->n < n && !r->is_cut; ret->n++) {
		struct mount *m = &ret->v[ret->n];

		m->type = take_text(a, r);
		m->source = take_text(a, r);
		m->target = take_text(a, r);
		size_t n_options = take_count_of(r, sizeof(uint32_t));

		m->options = arena_array(a, n_options, sizeof *m->options);
		while (m->noptions < n_options)
			m->options[m->noptions++] = take_text(a, r);
	}
}

static void take_value(struct arena *a, enum rec_kind kind, struct reader *r, void *ret)
{
	switch (kind) {
	case REC_TEXT:
		*(const char **)ret = arena_strndup(a, r->p, r->n);
		break;
	case REC_U64: {
		const void *p = take(r, sizeof(uint64_t));

		if (p)
			memcpy(ret, p, sizeof(uint64_t));
		break;
	}
	case REC_TIME: {
		struct timespec *t = ret;
		int64_t sec;
		const void *p = take(r, sizeof sec);

		if (p) {
			memcpy(&sec, p, sizeof sec);
			t->tv_sec = sec;
			t->tv_nsec = take_u32(r);
		}
		break;
	}
	case REC_LABELS: {
		struct labels *l = ret;
		size_t n = take_count(r);

		l->v = arena_array(a, n, sizeof *l->v);
		for (l->n = 0; l->n < n && !r->is_cut; l->n++) {
			l->v[l->n].key = take_text(a, r);
			l->v[l->n].value = take_text(a, r);
		}
		break;
	}
	case REC_ANY:
		take_any(a, r, ret);
		break;
	case REC_EXTENSIONS: {
		struct extensions *x = ret;
		size_t n = take_count(r);

		x->v = arena_array(a, n, sizeof *x->v);
		for (x->n = 0; x->n < n && !r->is_cut; x->n++) {
			x->v[x->n].key = take_text(a, r);
			take_any(a, r, &x->v[x->n].any);
		}
		break;
	}
	case REC_MOUNTS:
		take_mounts(a, r, ret);
		break;
	}
}

static const size_t kind_size[] = {
	[REC_TEXT] = sizeof(const char *),    [REC_U64] = sizeof(uint64_t),
	[REC_TIME] = sizeof(struct timespec), [REC_LABELS] = sizeof(struct labels),
	[REC_ANY] = sizeof(struct any),       [REC_EXTENSIONS] = sizeof(struct extensions),
	[REC_MOUNTS] = sizeof(struct mounts),
};

static int decode(struct arena *a, const struct rec_field *fields, const MDB_val *bytes,
		  bool borrows, void *record, struct err *e)
{
	struct reader r = { .p = bytes->mv_data, .n = bytes->mv_size };

	for (const struct rec_field *f = fields; f->tag; f++) {
		void *p = (char *)record + f->offset;

		memset(p, 0, kind_size[f->kind]);
		if (f->kind == REC_TEXT)
			*(const char **)p = "";
	}
	while (r.n > 0 && !r.is_cut) {
		uint8_t tag = *(const uint8_t *)take(&r, 1);
		struct reader value = { .n = take_u32(&r), .borrows = borrows };

		value.p = take(&r, value.n);
		for (const struct rec_field *f = fields; f->tag && value.p; f++)
			if (f->tag == tag)
				take_value(a, f->kind, &value, (char *)record + f->offset);
		r.is_cut = r.is_cut || value.is_cut;
	}
	if (r.is_cut)
		return err_set(e, ERR_DATA_LOSS, "metadata: a record is cut off");
	return 0;
}

int rec_decode(struct arena *a, const struct rec_field *fields, const MDB_val *bytes, void *record,
	       struct err *e)
{
	return decode(a, fields, bytes, false, record, e);
}

int rec_decode_borrowed(struct arena *a, const struct rec_field *fields, const MDB_val *bytes,
			void *record, struct err *e)
{
	return decode(a, fields, bytes, true, record, e);
}
