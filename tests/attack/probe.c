/* Makes system calls by number and says what came of each: "N: OK" or "N: ERRNO".  The seccomp
 * tests build it statically and run it in containers.  "i386:N" is a call by the old gate (x86-64
 * only). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static long old_gate(long nr, const long *a)
{
#ifdef __x86_64__
	long r;

	__asm__ volatile("int $0x80"
			 : "=a"(r)
			 : "a"(nr), "b"(a[0]), "c"(a[1]), "d"(a[2])
			 : "memory", "r8", "r9", "r10", "r11");
	return r;
#else
	(void)nr;
	(void)a;
	return -ENOSYS;
#endif
}

/* [i386:]NUMBER[,ARGUMENT…] */
int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		char *p = argv[i];
		int old = strncmp(p, "i386:", 5) == 0;
		long nr, a[6] = { 0 }, r;

		nr = strtol(p + (old ? 5 : 0), &p, 0);
		for (int k = 0; k < 6 && *p == ','; k++)
			a[k] = strtol(p + 1, &p, 0);
		if (old)
			r = old_gate(nr, a);
		else if ((r = syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5])) < 0)
			r = -errno;
		printf("%s: %s\n", argv[i], r < 0 ? strerrorname_np((int)-r) : "OK");
		fflush(stdout);
	}
	return 0;
}
