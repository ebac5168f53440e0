#include "os/dbus.h"

#include "os/fd.h"
#include "os/socket.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { LINE_MAX_ = 512, SIGNALS_MAX = 100000, NS_PER_MS = 1000000 };

struct dbus {
	int fd;
	uint32_t serial;
	unsigned char *message; /* the last one that came */
};

uint64_t dbus_deadline(unsigned ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 * NS_PER_MS + (uint64_t)t.tv_nsec +
	       (uint64_t)ms * NS_PER_MS;
}

static int wait_for(int fd, short events, uint64_t deadline)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = events };
		uint64_t now = dbus_deadline(0);
		uint64_t left = now < deadline ? (deadline - now + NS_PER_MS - 1) / NS_PER_MS : 0;
		int r = poll(&p, 1, left > INT32_MAX ? INT32_MAX : (int)left);

		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static int send_all(struct dbus *d, const char *p, size_t n, uint64_t deadline)
{
	while (n) {
		ssize_t k = send(d->fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (k >= 0) {
			p += k;
			n -= (size_t)k;
			continue;
		}
		if (errno == EPIPE)
			return -ECONNRESET;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		int r = wait_for(d->fd, POLLOUT, deadline);
		if (r < 0)
			return r;
	}
	return 0;
}

static int receive_all(struct dbus *d, unsigned char *p, size_t n, uint64_t deadline)
{
	while (n) {
		ssize_t k = recv(d->fd, p, n, MSG_DONTWAIT);

		if (k == 0)
			return -ECONNRESET;
		if (k > 0) {
			p += k;
			n -= (size_t)k;
			continue;
		}
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		int r = wait_for(d->fd, POLLIN, deadline);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A line of the handshake, without its end.  Byte by byte: what follows it is not ours to take. */
static int read_line(struct dbus *d, char line[LINE_MAX_], uint64_t deadline)
{
	size_t n = 0;

	for (;;) {
		int r = receive_all(d, (unsigned char *)&line[n], 1, deadline);

		if (r < 0)
			return r;
		if (line[n] == '\n' && n && line[n - 1] == '\r') {
			line[n - 1] = 0;
			return 0;
		}
		if (++n == LINE_MAX_)
			return -EBADMSG;
	}
}

static int say(struct dbus *d, const char *text, char line[LINE_MAX_], uint64_t deadline)
{
	int r = send_all(d, text, strlen(text), deadline);

	return r < 0 ? r : read_line(d, line, deadline);
}

/* By our uid first: every server knows that.  Ours may be another one than the server's idea of it
 * (we are root in a user namespace): then without one, by what the socket says of us. */
static int authenticate(struct dbus *d, uint64_t deadline)
{
	AUTO_STR struct str hello = STR_INIT(128);
	char uid[16], line[LINE_MAX_];
	int r;

	snprintf(uid, sizeof uid, "%u", (unsigned)geteuid());
	str_add(&hello, "AUTH EXTERNAL ");
	for (const char *p = uid; *p; p++)
		str_addf(&hello, "%02x", (unsigned)*p);
	str_add(&hello, "\r\n");
	r = send_all(d, "", 1,
		     deadline); /* the byte that carries credentials where sockets don't */
	if (r == 0)
		r = say(d, str_c(&hello), line, deadline);
	if (r == 0 && str_starts(line, "REJECTED"))
		r = say(d, "AUTH EXTERNAL\r\n", line, deadline);
	if (r == 0 && (strcmp(line, "DATA") == 0 || str_starts(line, "DATA ")))
		r = say(d, "DATA\r\n", line, deadline);
	if (r < 0)
		return r;
	if (str_starts(line, "REJECTED"))
		return -EACCES;
	if (strcmp(line, "OK") != 0 && !str_starts(line, "OK "))
		return -EBADMSG;
	return send_all(d, "BEGIN\r\n", 7, deadline);
}

int dbus_open_fd(int fd_take, bool is_bus, uint64_t deadline, struct dbus **ret)
{
	AUTO_DBUS struct dbus *d = NEW(struct dbus);
	struct dbus_message m = { 0 };
	int r;

	d->fd = fd_take;
	r = authenticate(d, deadline);
	if (r == 0 && is_bus)
		r = dbus_call(d, "org.freedesktop.DBus", "/org/freedesktop/DBus",
			      "org.freedesktop.DBus", "Hello", NULL, 0, deadline, &m);
	if (r < 0)
		return r;
	if (is_bus && m.type == DBUS_ERROR)
		return -EACCES;
	*ret = TAKE_PTR(d);
	return 0;
}

void dbus_close(struct dbus *d)
{
	if (!d)
		return;
	close_fd(&d->fd);
	free(d->message);
	free(d);
}

static int hex(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
	       : c >= 'A' && c <= 'F' ? c - 'A' + 10
				      : -1;
}

/* A value of an address, its %xx undone; NULL when they are wrong. */
static char *unescape(const char *p, size_t n)
{
	AUTO_FREE char *out = xmalloc(n + 1);
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		if (p[i] != '%') {
			out[len++] = p[i];
			continue;
		}
		if (i + 2 >= n || hex(p[i + 1]) < 0 || hex(p[i + 2]) < 0)
			return NULL;
		out[len++] = (char)(hex(p[i + 1]) * 16 + hex(p[i + 2]));
		i += 2;
	}
	out[len] = 0;
	return TAKE_PTR(out);
}

static int connect_abstract(const char *name)
{
	AUTO_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	size_t n = strlen(name);

	if (fd < 0)
		return -errno;
	if (n + 1 > sizeof addr.sun_path)
		return -ENAMETOOLONG;
	memcpy(addr.sun_path + 1, name, n);
	if (connect(fd, (struct sockaddr *)&addr,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* One address of a list: [p, end). */
static int connect_one(const char *p, const char *end)
{
	static const char unix_[] = "unix:";

	if ((size_t)(end - p) < sizeof unix_ - 1 || memcmp(p, unix_, sizeof unix_ - 1) != 0)
		return -EPROTONOSUPPORT;
	for (p += sizeof unix_ - 1; p < end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p)) ?: end;
		bool is_path = str_starts(p, "path="), is_abstract = str_starts(p, "abstract=");
		size_t skip = is_path ? 5 : 9;

		if ((is_path || is_abstract) && p + skip <= comma) {
			AUTO_FREE char *value = unescape(p + skip, (size_t)(comma - p) - skip);

			if (!value)
				return -EINVAL;
			return is_path ? socket_connect(value) : connect_abstract(value);
		}
		p = comma + (comma < end);
	}
	return -EPROTONOSUPPORT;
}

int dbus_open(const char *address, bool is_bus, uint64_t deadline, struct dbus **ret)
{
	int r = -EPROTONOSUPPORT;

	for (const char *p = address; *p;) {
		const char *end = strchrnul(p, ';');
		int fd = connect_one(p, end);

		r = fd < 0 ? fd : dbus_open_fd(fd, is_bus, deadline, ret);
		if (r == 0)
			return 0;
		p = end + (*end == ';');
	}
	return r;
}

static int receive(struct dbus *d, uint64_t deadline, struct dbus_message *ret)
{
	unsigned char head[DBUS_HEADER_MIN] = { 0 };
	size_t size = 0;
	int r = receive_all(d, head, sizeof head, deadline);

	if (r == 0)
		r = dbus_message_size(head, &size);
	if (r < 0)
		return r;
	free(d->message);
	d->message = xmalloc(size);
	memcpy(d->message, head, sizeof head);
	r = receive_all(d, d->message + sizeof head, size - sizeof head, deadline);
	return r < 0 ? r : dbus_message_parse(d->message, size, ret);
}

int dbus_call(struct dbus *d, const char *destination, const char *path, const char *interface,
	      const char *member, const struct dbus_value *args, size_t n_args, uint64_t deadline,
	      struct dbus_message *ret)
{
	AUTO_STR struct str bytes = STR_INIT(DBUS_MESSAGE_MAX);
	int r;

	if (++d->serial == 0)
		d->serial = 1;
	dbus_build_call(&bytes, d->serial, destination, path, interface, member, args, n_args);
	if (bytes.over)
		return -EMSGSIZE;
	r = send_all(d, bytes.ptr, bytes.len, deadline);
	/* Bounded: a server that never answers, only talks, is broken. */
	for (unsigned i = 0; r == 0 && i < SIGNALS_MAX; i++) {
		r = receive(d, deadline, ret);
		if (r == 0 && (ret->type == DBUS_METHOD_RETURN || ret->type == DBUS_ERROR) &&
		    ret->reply_serial == d->serial)
			return 0;
	}
	return r < 0 ? r : -EBADMSG;
}

int dbus_next_signal(struct dbus *d, uint64_t deadline, struct dbus_message *ret)
{
	int r;

	do
		r = receive(d, deadline, ret);
	while (r == 0 && ret->type != DBUS_SIGNAL);
	return r;
}
