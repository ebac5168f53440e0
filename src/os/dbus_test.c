#include "os/dbus.h"

#include "base/test.h"

#include <errno.h>
#include <sys/socket.h>

/* A call whose every byte is known: the specification's layout, written out by hand. */
TEST(a_call_byte_by_byte)
{
	static const unsigned char want[] =
		/* order, type, flags, version, body length, serial, length of the fields */
		"l\1\0\1\x0c\0\0\0\x07\0\0\0\x38\0\0\0"
		"\1\1o\0\2\0\0\0/a\0\0\0\0\0\0" /* path */
		"\2\1s\0\3\0\0\0b.c\0\0\0\0\0" /* interface */
		"\3\1s\0\1\0\0\0D\0\0\0\0\0\0\0" /* member */
		"\x08\1g\0\2su\0" /* signature */
		"\0\0\0\0\0\0\0\0\x05\0\0"; /* an empty text, padding, 5; the last byte is C's */
	struct dbus_value args[] = { dbus_string(""), dbus_u32(5) };
	AUTO_STR struct str out = STR_INIT(4096);
	struct dbus_message m;
	size_t size = 0;

	dbus_build_call(&out, 7, "", "/a", "b.c", "D", args, 2);
	CHECK(out.len == sizeof want && memcmp(out.ptr, want, sizeof want) == 0);
	CHECK(dbus_message_size(out.ptr, &size) == 0 && size == out.len);
	CHECK(dbus_message_parse(out.ptr, out.len, &m) == 0);
	CHECK(m.type == DBUS_METHOD_CALL && m.serial == 7);
	CHECK_STR(m.path, "/a");
	CHECK_STR(m.interface, "b.c");
	CHECK_STR(m.member, "D");
	CHECK_STR(m.signature, "su");
	CHECK_STR(dbus_get_string(&m.body), "");
	CHECK(dbus_get_u32(&m.body) == 5 && !m.body.bad);
	CHECK(dbus_get_u32(&m.body) == 0 && m.body.bad); /* nothing is behind it */
}

/* Alignment inside arrays, structs and variants. */
TEST(values_in_bytes)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str out = STR_INIT(4096);
	struct dbus_value pair[] = { dbus_string("A"), dbus_variant(a, dbus_u64(3)) };
	struct dbus_value item = dbus_struct(a, pair, 2);
	struct dbus_value list = dbus_array(a, "(sv)", &item, 1);
	static const unsigned char want[] = "\x18\0\0\0\0\0\0\0" /* length, padding to 8 */
					    "\1\0\0\0A\0\1t\0\0\0\0\0\0\0\0"
					    "\3\0\0\0\0\0\0"; /* and the literal's own 0 */

	dbus_put(&out, &list);
	CHECK(out.len == sizeof want);
	CHECK(memcmp(out.ptr, want, sizeof want) == 0);

	str_reset(&out);
	dbus_signature(&list, &out);
	CHECK_STR(str_c(&out), "a(sv)");
	str_reset(&out);
	dbus_print(&list, &out);
	CHECK_STR(str_c(&out), "[('A', <uint64 3>)]");

	struct dbus_value none = dbus_array(a, "t", NULL, 0);
	str_reset(&out);
	dbus_put(&out, &none);
	CHECK(out.len == 8); /* the padding to the first element is there without one */
}

/* A reply as a server would send it: fields in any order, also ones that we do not know. */
static void put_reply(struct str *out, enum dbus_type type, uint32_t serial, const char *error,
		      const char *signature, const struct dbus_value *args, size_t n)
{
	AUTO_ARENA struct arena *a = arena_new();
	AUTO_STR struct str fields = STR_INIT(4096);
	AUTO_STR struct str body = STR_INIT(4096);
	struct dbus_value list[8];
	size_t n_list = 0;

	struct {
		unsigned code;
		struct dbus_value v;
	} all[] = {
		{ 42, dbus_string("unknown") },
		{ 5, dbus_u32(serial) },
		{ 7, dbus_string(":1.1") },
		{ 4, dbus_string(error) },
		{ 8, (struct dbus_value){ .type = 'g', .u.text = signature } },
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		struct dbus_value pair[] = { { .type = 'y', .u.number = all[i].code },
					     dbus_variant(a, all[i].v) };

		list[n_list++] = dbus_struct(a, pair, 2);
	}
	for (size_t i = 0; i < n; i++)
		dbus_put(&body, &args[i]);

	struct dbus_value head[] = {
		{ .type = 'y', .u.number = 'l' },
		{ .type = 'y', .u.number = type },
		{ .type = 'y' },
		{ .type = 'y', .u.number = 1 },
		dbus_u32((uint32_t)body.len),
		dbus_u32(99),
		dbus_array(a, "(yv)", list, n_list),
	};
	for (size_t i = 0; i < ARRAY_LEN(head); i++)
		dbus_put(&fields, &head[i]);
	while (fields.len % 8)
		str_addc(&fields, 0);
	str_addn(out, fields.ptr, fields.len);
	if (body.len)
		str_addn(out, body.ptr, body.len);
}

/* What the peer will have said is in the socket before we begin: no second process is needed. */
static int script(const char *handshake, const struct str *messages, int *ret_peer)
{
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	CHECK(write(pair[1], handshake, strlen(handshake)) == (ssize_t)strlen(handshake));
	if (messages && messages->len)
		CHECK(write(pair[1], messages->ptr, messages->len) == (ssize_t)messages->len);
	*ret_peer = pair[1];
	return pair[0];
}

static void heard(int peer, char *buf, size_t size)
{
	ssize_t n = recv(peer, buf, size - 1, MSG_DONTWAIT);

	CHECK(n > 0);
	buf[n] = 0;
}

TEST(hello_call_and_signal)
{
	AUTO_STR struct str said = STR_INIT(65536);
	AUTO_DBUS struct dbus *d = NULL;
	AUTO_FD int peer = -1;
	struct dbus_value name = dbus_string(":1.7"), job = dbus_string("later");
	struct dbus_message m;
	char buf[4096];

	put_reply(&said, DBUS_METHOD_RETURN, 1, "", "s", &name, 1); /* Hello */
	put_reply(&said, DBUS_SIGNAL, 5, "", "s", &job, 1); /* dropped: nobody waits for it */
	put_reply(&said, DBUS_METHOD_RETURN, 77, "", "s", &job, 1); /* of no call of ours */
	put_reply(&said, DBUS_ERROR, 2, "x.Bad", "s", &name, 1);
	put_reply(&said, DBUS_METHOD_RETURN, 78, "", "", NULL, 0);
	put_reply(&said, DBUS_SIGNAL, 5, "", "s", &job, 1);

	int fd = script("OK 0123\r\n", &said, &peer);
	CHECK(dbus_open_fd(fd, true, dbus_deadline(5000), &d) == 0);
	CHECK(dbus_call(d, "x", "/x", "x.X", "Do", NULL, 0, dbus_deadline(5000), &m) == 0);
	CHECK(m.type == DBUS_ERROR);
	CHECK_STR(m.error, "x.Bad");
	CHECK_STR(m.sender, ":1.1");
	CHECK_STR(dbus_get_string(&m.body), ":1.7");
	CHECK(dbus_next_signal(d, dbus_deadline(5000), &m) == 0);
	CHECK_STR(dbus_get_string(&m.body), "later");
	CHECK(dbus_next_signal(d, dbus_deadline(20), &m) == -ETIMEDOUT);

	heard(peer, buf, sizeof buf);
	CHECK(buf[0] == 0 && memcmp(buf + 1, "AUTH EXTERNAL 3", 15) == 0);
	CHECK(strstr(buf + 1, "\r\nBEGIN\r\nl"));
	close_fd(&peer);
	peer = -1;
	CHECK(dbus_call(d, "x", "/x", "x.X", "Do", NULL, 0, dbus_deadline(5000), &m) ==
	      -ECONNRESET);
}

/* Our uid is another one to the server: it is asked to see for itself. */
TEST(rejected_first)
{
	AUTO_DBUS struct dbus *d = NULL;
	AUTO_FD int peer = -1;
	char buf[4096];
	int fd = script("REJECTED EXTERNAL\r\nDATA\r\nOK 1\r\n", NULL, &peer);

	CHECK(dbus_open_fd(fd, false, dbus_deadline(5000), &d) == 0);
	heard(peer, buf, sizeof buf);
	CHECK(strstr(buf + 1, "\r\nAUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"));
}

TEST(handshakes_that_fail)
{
	static const struct {
		const char *said;
		int want;
	} all[] = {
		{ "REJECTED\r\nREJECTED\r\n", -EACCES },
		{ "ERROR \"what\"\r\n", -EBADMSG },
		{ "OKAY\r\n", -EBADMSG },
		{ "OK", -ETIMEDOUT },
		{ "", -ETIMEDOUT },
	};
	char longer[2000];

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		AUTO_FD int peer = -1;
		struct dbus *d = NULL;
		int fd = script(all[i].said, NULL, &peer);

		CHECK(dbus_open_fd(fd, false, dbus_deadline(10), &d) == all[i].want);
	}
	memset(longer, 'x', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	AUTO_FD int peer = -1;
	struct dbus *d = NULL;
	int fd = script(longer, NULL, &peer);
	CHECK(dbus_open_fd(fd, false, dbus_deadline(10), &d) == -EBADMSG);
}

TEST(addresses)
{
	struct dbus *d = NULL;

	CHECK(dbus_open("tcp:host=localhost", true, dbus_deadline(10), &d) == -EPROTONOSUPPORT);
	CHECK(dbus_open("", true, dbus_deadline(10), &d) == -EPROTONOSUPPORT);
	CHECK(dbus_open("unix:guid=1", true, dbus_deadline(10), &d) == -EPROTONOSUPPORT);
	CHECK(dbus_open("unix:path=/no%2", true, dbus_deadline(10), &d) == -EINVAL);
	CHECK(dbus_open("tcp:x;unix:guid=2,path=/nowhere%2fat%20all", true, dbus_deadline(10),
			&d) == -ENOENT);
	CHECK(dbus_open("unix:abstract=casco/nobody/listens", true, dbus_deadline(10), &d) ==
	      -ECONNREFUSED);
}

/* Every length of a good message, wrong by a little or a lot. */
TEST(messages_that_lie)
{
	AUTO_STR struct str good = STR_INIT(4096);
	struct dbus_value name = dbus_string("text");
	struct dbus_message m;
	size_t size = 0;

	put_reply(&good, DBUS_METHOD_RETURN, 5, "", "s", &name, 1);
	CHECK(dbus_message_parse(good.ptr, good.len, &m) == 0);
	for (size_t n = 0; n < good.len; n++)
		CHECK(dbus_message_parse(good.ptr, n, &m) < 0);
	for (size_t i = 0; i < good.len; i++)
		for (int k = 1; k < 256; k += 85) {
			AUTO_FREE char *bad = xmemdup(good.ptr, good.len);

			bad[i] = (char)(bad[i] + k);
			if (dbus_message_parse(bad, good.len, &m) == 0)
				(void)dbus_get_string(&m.body); /* the sanitizers look on */
		}
	static const unsigned char huge[16] = { 'l', 1, 0, 1, 0, 0, 0, 0x10, 1 };
	static const unsigned char other[16] = { 'X', 1, 0, 1 }, version[16] = { 'l', 1, 0, 2 };
	CHECK(dbus_message_size(huge, &size) == -EMSGSIZE);
	CHECK(dbus_message_size(other, &size) == -EBADMSG);
	CHECK(dbus_message_size(version, &size) == -EBADMSG);
}

TEST(the_other_byte_order)
{
	static const unsigned char big[] = "B\2\0\1\0\0\0\4\0\0\0\1\0\0\0\x0f" /* fixed part */
					   "\5\1u\0\0\0\0\x09" /* reply serial */
					   "\x08\1g\0\1u\0\0" /* signature, padding */
					   "\0\0\1";
	struct dbus_message m;

	CHECK(dbus_message_parse(big, sizeof big, &m) == 0);
	CHECK(m.reply_serial == 9);
	CHECK_STR(m.signature, "u");
	CHECK(dbus_get_u32(&m.body) == 256);
}
