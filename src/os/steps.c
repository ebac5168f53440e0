#include "os/steps.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

const char *const steps_who_names[] = { "shim", "runtime", "init" };

struct slot {
	uint64_t begin, end;
	uint8_t who, length;
	char name[STEPS_NAME];
};

struct steps {
	uint32_t n;
	uint32_t open[STEPS_WHOS]; /* 1 + the slot of its step; its writer's own */
	struct slot v[STEPS_MAX];
};

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct steps *steps_new(void)
{
	void *p = mmap(NULL, sizeof(struct steps), PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void steps_free(struct steps *s)
{
	if (s)
		(void)munmap(s, sizeof *s);
}

static void end_at(struct steps *s, enum steps_who who, uint64_t time)
{
	uint32_t slot = s->open[who];

	s->open[who] = 0;
	if (slot && slot <= STEPS_MAX)
		__atomic_store_n(&s->v[slot - 1].end, time, __ATOMIC_RELEASE);
}

void steps_begin(struct steps *s, enum steps_who who, const char *name)
{
	if (!s)
		return;

	uint64_t time = now();

	end_at(s, who, time);

	uint32_t i = __atomic_fetch_add(&s->n, 1, __ATOMIC_RELAXED);

	if (i >= STEPS_MAX)
		return;

	struct slot *v = &s->v[i];

	v->who = (uint8_t)who;
	v->length = (uint8_t)strnlen(name, sizeof v->name - 1);
	memcpy(v->name, name, v->length);
	__atomic_store_n(&v->begin, time, __ATOMIC_RELEASE); /* last: with it, the slot counts */
	s->open[who] = i + 1;
}

void steps_end(struct steps *s, enum steps_who who)
{
	if (s)
		end_at(s, who, now());
}

static bool is_plain(char c)
{
	return c >= ' ' && c <= '~' && c != '|' && c != ';';
}

size_t steps_read(const struct steps *s, struct step ret[STEPS_MAX])
{
	size_t n = 0, had = s ? __atomic_load_n(&s->n, __ATOMIC_ACQUIRE) : 0;

	for (size_t i = 0; i < had && i < STEPS_MAX; i++) {
		const struct slot *v = &s->v[i];
		struct step *to = &ret[n];

		*to = (struct step){ .begin = __atomic_load_n(&v->begin, __ATOMIC_ACQUIRE),
				     .end = __atomic_load_n(&v->end, __ATOMIC_ACQUIRE) };
		to->who = v->who < STEPS_WHOS ? v->who : STEPS_RUNTIME;
		for (size_t k = 0; k < v->length && k < STEPS_NAME - 1; k++)
			to->name[k] = is_plain(v->name[k]) ? v->name[k] : '?';
		n += to->begin != 0;
	}
	return n;
}
