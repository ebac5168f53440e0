/* The user's terminal: raw mode and its size. */
#include "cmd/ctr/task_io.h"

#include <errno.h>
#include <sys/ioctl.h>
#include <termios.h>

static struct termios saved;
static int terminal_fd = -1; /* in raw mode now; -1: none is */

static int find_terminal(void)
{
	static const int fds[] = { STDIN_FILENO, STDERR_FILENO, STDOUT_FILENO };

	for (size_t i = 0; i < ARRAY_LEN(fds); i++)
		if (isatty(fds[i]))
			return fds[i];
	return -1;
}

int terminal_begin(const struct task_io *io, struct err *e)
{
	struct termios raw;
	int fd = find_terminal();

	if (!io->terminal)
		return 0;
	if (fd < 0)
		return err_set(
			e, ERR_FAILED_PRECONDITION,
			"provided file is not a console: the container has a terminal, so one is "
			"needed here too");
	if (tcgetattr(fd, &saved) < 0)
		return err_sys(e, errno, "tcgetattr");
	raw = saved;
	cfmakeraw(&raw);
	if (tcsetattr(fd, TCSANOW, &raw) < 0)
		return err_sys(e, errno, "tcsetattr");
	terminal_fd = fd;
	return 0;
}

void terminal_end(void)
{
	if (terminal_fd < 0)
		return;
	(void)tcsetattr(terminal_fd, TCSANOW, &saved); /* the terminal may be gone */
	terminal_fd = -1;
}

void terminal_resize(struct task_io *io)
{
	TASKS(ResizePtyRequest) req = TASKS_INIT(RESIZE_PTY_REQUEST);
	struct err e = { 0 };
	struct winsize w;

	if (terminal_fd < 0 || ioctl(terminal_fd, TIOCGWINSZ, &w) < 0)
		return;
	req.container_id = PB(io->id);
	req.exec_id = PB(io->exec_id);
	req.width = w.ws_col;
	req.height = w.ws_row;
	(void)CTR_CALL_EMPTY(io->ctr, "tasks.v1.Tasks/ResizePty", &req, &e); /* it may have ended */
}
