#include "runtime/passwd.h"

#include "base/mem.h"
#include "base/num.h"
#include "os/fd.h"
#include "os/path.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { PASSWD_MAX = 1 << 20, FIELDS = 7 };

char *passwd_find(const char *text, uint32_t uid, int wanted)
{
	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");
		AUTO_FREE char *copy = xstrndup(line, n);
		char *field[FIELDS] = { copy };
		int count = 1;
		uint32_t id;

		for (char *p = copy; *p && count < FIELDS; p++)
			if (*p == ':') {
				*p = 0;
				field[count++] = p + 1;
			}
		/* the id only: a user whose name is that number is somebody else */
		if (count >= 6 && num_id(field[2], &id) == 0 && id == uid)
			return xstrdup(field[wanted]);
		line += n + (line[n] == '\n');
	}
	return NULL;
}

static char *find_in_root(int rootfd, uint32_t uid, int field)
{
	struct stat st;
	AUTO_FD int fd = path_open(rootfd, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > PASSWD_MAX)
		return NULL;
	AUTO_FREE char *text = xmalloc((size_t)st.st_size + 1);
	ssize_t n = fd_read_all(fd, text, (size_t)st.st_size);
	if (n < 0)
		return NULL;
	text[n] = 0;
	return passwd_find(text, uid, field);
}

char *passwd_name(int rootfd, uint32_t uid)
{
	return find_in_root(rootfd, uid, 0);
}

char *passwd_home(int rootfd, uint32_t uid)
{
	AUTO_FREE char *home = find_in_root(rootfd, uid, 5);

	return home && home[0] == '/' ? TAKE_PTR(home) : NULL;
}
