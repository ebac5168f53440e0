#include "cgroup/devices.h"

#include "base/str.h"
#include "base/test.h"

/* A machine for the few instructions that the assembler knows: the program is judged by what it
 * answers. */
static bool run(const struct bpf_insn *v, size_t n, char type, unsigned major, unsigned minor,
		unsigned access)
{
	uint64_t reg[11] = { 0 };
	uint32_t ctx[3] = { (access << 16) |
				    (type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
			    major, minor };

	for (size_t pc = 0; pc < n; pc++) {
		const struct bpf_insn *i = &v[pc];
		uint64_t *dst = &reg[i->dst_reg];
		bool jump = false;

		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			*dst = ctx[i->off / 4];
			break;
		case BPF_ALU64 | BPF_MOV | BPF_X:
			*dst = reg[i->src_reg];
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			*dst = (uint64_t)i->imm;
			break;
		case BPF_ALU64 | BPF_AND | BPF_K:
			*dst &= (uint64_t)(int64_t)i->imm;
			break;
		case BPF_ALU64 | BPF_RSH | BPF_K:
			*dst >>= i->imm;
			break;
		case BPF_ALU64 | BPF_LSH | BPF_K:
			*dst <<= i->imm;
			break;
		case BPF_ALU64 | BPF_OR | BPF_X:
			*dst |= reg[i->src_reg];
			break;
		case BPF_JMP32 | BPF_JEQ | BPF_K:
			jump = (uint32_t)*dst == (uint32_t)i->imm;
			break;
		case BPF_JMP32 | BPF_JNE | BPF_K:
			jump = (uint32_t)*dst != (uint32_t)i->imm;
			break;
		case BPF_JMP32 | BPF_JSET | BPF_K:
			jump = (uint32_t)*dst & (uint32_t)i->imm;
			break;
		case BPF_JMP | BPF_JA:
			jump = true;
			break;
		case BPF_JMP | BPF_EXIT:
			return reg[0];
		default:
			FAIL_("unknown instruction %#x", i->code);
		}
		if (jump)
			pc += (size_t)i->off;
	}
	FAIL_("the program runs off its end");
	return false;
}

#define ALL_DENIED                           \
	{                                    \
		.type = 'a', .access = "rwm" \
	}
#define ALL_ALLOWED                                         \
	{                                                   \
		.allow = true, .type = 'a', .access = "rwm" \
	}
#define NUM(n)                        \
	{                             \
		.v = (n), .has = true \
	}

static const char *set_text(struct arena *a, const struct device_set *s)
{
	AUTO_STR struct str out = STR_INIT(4096);

	str_add(&out, s->default_allow ? "all but" : "only");
	for (size_t i = 0; i < s->n; i++)
		str_addf(&out, "; %s", device_exception_text(a, &s->v[i]));
	return arena_strdup(a, str_c(&out));
}

#define DEFAULTS                                                                            \
	"; c *:* m; b *:* m; c 1:3 rwm; c 1:8 rwm; c 1:7 rwm; c 5:0 rwm; c 1:5 rwm; c 1:9 " \
	"rwm; c 136:* rwm; c 5:2 rwm"

static const struct {
	struct oci_device_rule rules[4];
	size_t n;
	const char *want; /* the set, or the error */
} sets[] = {
	{ .n = 0, .want = "only" DEFAULTS },
	{ { ALL_DENIED }, 1, "only" DEFAULTS },
	{ { ALL_ALLOWED }, 1, "all but" },
	/* No leading "deny all": denied all the same. */
	{ { { true, 'c', NUM(10), NUM(200), "rw" } }, 1, "only; c 10:200 rw" DEFAULTS },
	{ { ALL_DENIED, { true, 'b', NUM(8), NUM(-1), "r" }, { true, 'b', NUM(8), { 0 }, "w" } },
	  3,
	  "only; b 8:* rw" DEFAULTS },
	{ { ALL_ALLOWED, { false, 'b', NUM(8), { 0 }, "w" } }, 2, "all but; b 8:* w" },
	{ { ALL_ALLOWED, { false, 'c', NUM(1), { 0 }, "rwm" } }, 2, "all but; c 1:* rwm" },
	{ { { true, 'c', NUM(7), { 0 }, "rw" }, { false, 'c', NUM(7), NUM(1), "r" } },
	  2,
	  "requested rule [c 7:1 r] not supported (cannot punch hole in existing wildcard rule "
	  "[c 7:* rw])" },
	{ { { true, 'c', NUM(7), NUM(1), "rw" }, { false, 'c', NUM(7), NUM(1), "r" } },
	  2,
	  "only; c 7:1 w" DEFAULTS },
};

TEST(rules_fold_into_sets)
{
	for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
		AUTO_ARENA struct arena *a = arena_new();
		struct device_set s;
		struct err e = { 0 };

		if (device_set_build(a, sets[i].rules, sets[i].n, &s, &e) < 0)
			CHECK_STR(e.msg, sets[i].want);
		else
			CHECK_STR(set_text(a, &s), sets[i].want);
	}
}

enum { R = DEVICE_READ, W = DEVICE_WRITE, M = DEVICE_MKNOD };

TEST(programs_answer_as_the_sets_say)
{
	static const struct oci_device_rule few[] = { ALL_DENIED,
						      { true, 'b', NUM(8), { 0 }, "r" } };
	static const struct oci_device_rule most[] = { ALL_ALLOWED,
						       { false, 'b', NUM(8), NUM(1), "w" } };
	AUTO_ARENA struct arena *a = arena_new();
	struct bpf_insn *v;
	struct device_set s;
	struct err e = { 0 };
	size_t n;

	CHECK_OK(device_set_build(a, few, 2, &s, &e), &e);
	CHECK_OK(device_set_assemble(a, &s, &v, &n, &e), &e);
	CHECK(run(v, n, 'c', 1, 3, R | W) && run(v, n, 'c', 1, 3, M));
	CHECK(run(v, n, 'b', 8, 77, R) && !run(v, n, 'b', 8, 77, R | W));
	CHECK(!run(v, n, 'c', 8, 77, R) && !run(v, n, 'c', 1, 1, R));
	CHECK(run(v, n, 'b', 9, 9, M) && !run(v, n, 'b', 9, 9, R));
	CHECK(run(v, n, 'c', 136, 4095, R | W) && !run(v, n, 'c', 4, 64, R | W));

	CHECK_OK(device_set_build(a, most, 2, &s, &e), &e);
	CHECK_OK(device_set_assemble(a, &s, &v, &n, &e), &e);
	CHECK(run(v, n, 'c', 1, 1, R | W | M) && run(v, n, 'b', 8, 1, R));
	CHECK(!run(v, n, 'b', 8, 1, W) && !run(v, n, 'b', 8, 1, R | W) && run(v, n, 'b', 8, 2, W));
}

/* What a set says of one access, without a program. */
static bool answer(const struct device_set *s, char type, unsigned major, unsigned minor,
		   unsigned access)
{
	for (size_t i = 0; i < s->n; i++) {
		const struct device_exception *x = &s->v[i];

		if (x->type == type && (x->major == DEVICE_ANY || x->major == major) &&
		    (x->minor == DEVICE_ANY || x->minor == minor) &&
		    (s->default_allow ? (access & x->access) != 0 : !(access & ~x->access)))
			return !s->default_allow;
	}
	return s->default_allow;
}

static void check_all(const struct device_set *s)
{
	static const unsigned numbers[] = { 0, 1, 3, 5, 8, 9, 136, 4095, 4096, 1 << 20 };
	AUTO_ARENA struct arena *a = arena_new();
	struct err e = { 0 };
	struct bpf_insn *v;
	size_t n;

	CHECK_OK(device_set_assemble(a, s, &v, &n, &e), &e);
	for (size_t i = 0; i < ARRAY_LEN(numbers) - 2; i++)
		for (size_t k = 0; k < ARRAY_LEN(numbers) - 1; k++)
			for (unsigned access = 1; access <= (R | W | M); access++)
				for (const char *t = "bc"; *t; t++)
					CHECK(run(v, n, *t, numbers[i], numbers[k], access) ==
					      answer(s, *t, numbers[i], numbers[k], access));
}

TEST(programs_answer_for_every_kind_of_exception)
{
	static const int64_t numbers[] = { DEVICE_ANY, 0, 1, 8, 4095, 4096, 1 << 20 };
	AUTO_ARENA struct arena *a = arena_new();
	struct device_set s = { .v = arena_array(a, 4, sizeof *s.v) };
	struct err e = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		for (size_t k = 0; k < ARRAY_LEN(numbers); k++)
			for (unsigned access = 1; access <= (R | W | M); access++) {
				s.v[0] = (struct device_exception){ 'c', numbers[i], numbers[k],
								    access };
				s.v[1] = (struct device_exception){ 'b', numbers[k], numbers[i],
								    access };
				s.v[2] = (struct device_exception){ 'c', 5, DEVICE_ANY, R };
				for (s.n = 0; s.n <= 3; s.n++) {
					s.default_allow = false;
					check_all(&s);
					s.default_allow = true;
					check_all(&s);
				}
			}
	CHECK_OK(device_set_build(a, NULL, 0, &s, &e), &e);
	check_all(&s);
}

TEST(too_many_rules_are_refused)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct device_set s = { .n = 2000 };
	struct bpf_insn *v;
	struct err e = { 0 };
	size_t n;

	CHECK_FAIL(device_set_assemble(a, &s, &v, &n, &e), &e, ERR_INVALID_ARGUMENT);
	CHECK_STR(e.msg, "too many device rules: 2000");
}
