#include "shim/oci_steps.h"

#include "loop/trace.h"

#include <inttypes.h>

static void say_time(struct str *out, uint64_t ns)
{
	bool is_short = ns < 1000000000u;
	uint64_t tenths = ns / (is_short ? 100000u : 100000000u);

	str_addf(out, " %" PRIu64 ".%u %s", tenths / 10, (unsigned)(tenths % 10),
		 is_short ? "ms" : "s");
}

static uint64_t end_of(const struct step *s, uint64_t now)
{
	uint64_t end = s->end ?: now;

	return end > s->begin ? end : s->begin; /* the clock may have been set */
}

void oci_steps_say(const struct steps *s, uint64_t now, struct str *out)
{
	struct step v[STEPS_MAX];
	size_t n = steps_read(s, v);

	for (int who = 0; who < STEPS_WHOS; who++) {
		const char *between = NULL;

		for (size_t i = 0; i < n; i++) {
			if (v[i].who != (enum steps_who)who)
				continue;
			if (!between)
				str_addf(out, "%s%s: ", out->len ? "; " : "", steps_who_names[who]);
			str_addf(out, "%s%s", between ?: "", v[i].name);
			say_time(out, end_of(&v[i], now) - v[i].begin);
			if (!v[i].end)
				str_add(out, " and not over");
			between = ", ";
		}
	}
}

void oci_steps_log(const struct steps *s, uint64_t now, struct str *log)
{
	struct step v[STEPS_MAX];
	size_t n = steps_read(s, v);

	for (size_t i = 0; i < n; i++)
		trace_log_put(log, steps_who_names[v[i].who], v[i].name, v[i].begin,
			      end_of(&v[i], now));
}
