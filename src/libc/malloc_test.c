#include "base/test.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/wait.h>

/* So that the compiler does not know. */
static volatile size_t too_many = SIZE_MAX - 4, middle = 32;

TEST(pieces_are_aligned_apart_and_keep_what_they_hold)
{
	enum { N = 2000 };
	static unsigned char *p[N];
	static size_t size[N];

	for (size_t round = 0; round < 3; round++) {
		for (size_t i = 0; i < N; i++) {
			size[i] = (i * 7919 + round * 31) % 3000;
			p[i] = malloc(size[i]);
			CHECK(p[i] && (uintptr_t)p[i] % 16 == 0);
			memset(p[i], (int)(i & 255), size[i]);
		}
		for (size_t i = 0; i < N; i += 2)
			free(p[i]);
		for (size_t i = 0; i < N; i += 2) {
			p[i] = malloc(size[i]);
			memset(p[i], (int)(i & 255), size[i]);
		}
		for (size_t i = 0; i < N; i++) {
			for (size_t k = 0; k < size[i]; k++)
				CHECK(p[i][k] == (i & 255));
			free(p[i]);
		}
	}
}

TEST(calloc_clears_what_was_used)
{
	for (size_t n = 1; n < 100000; n = n * 3 + 1) {
		unsigned char *p = malloc(n);

		memset(p, 0xff, n);
		free(p);
		p = calloc(n, 1);
		for (size_t i = 0; i < n; i++)
			CHECK(p[i] == 0);
		free(p);
	}
	CHECK(!calloc(too_many / 2, 3) && errno == ENOMEM);
	CHECK(!malloc(too_many) && errno == ENOMEM);
}

/* Through all sizes: in place, copied, with a mapping of its own, and back. */
TEST(realloc_keeps_the_beginning)
{
	unsigned char *p = realloc(NULL, 1), *between = NULL;

	p[0] = 0;
	for (size_t n = 1; n < 400000; n += n / 3 + 1) {
		p = realloc(p, n);
		CHECK(p);
		for (size_t i = 0; i < n / 2; i++)
			CHECK(i >= n / 4 || p[i] == (i & 255));
		for (size_t i = 0; i < n; i++)
			p[i] = (unsigned char)(i & 255);
		free(between);
		between = n % 2 ? malloc(n) : NULL;
	}
	p = realloc(p, 100);
	for (size_t i = 0; i < 100; i++)
		CHECK(p[i] == i);
	CHECK(!realloc(p, too_many));
	free(between);
	free(p);
}

static int end_of(void (*misuse)(char *p))
{
	int pid = fork(), status;

	if (pid == 0) {
		misuse(malloc(100));
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void free_twice(char *p)
{
	free(p);
	free(p); /* NOLINT */
}

static void free_the_middle(char *p)
{
	memset(p, 0, 100);
	free(p + middle); /* NOLINT */
}

static void free_once(char *p)
{
	free(p);
}

TEST(misuse_ends_the_program)
{
	CHECK(end_of(free_twice) == SIGABRT && end_of(free_the_middle) == SIGABRT);
	CHECK(end_of(free_once) == 0);
}
