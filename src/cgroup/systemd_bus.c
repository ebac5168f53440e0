#include "cgroup/systemd_bus.h"

#include "base/log.h"

#include <errno.h>
#include <string.h>

#define SERVICE "org.freedesktop.systemd1"
#define OBJECT "/org/freedesktop/systemd1"
#define MANAGER "org.freedesktop.systemd1.Manager"
#define BUS "org.freedesktop.DBus"
#define MATCH                                                                 \
	"type='signal',sender='" SERVICE "',interface='" MANAGER "',member='" \
	"JobRemoved',path='" OBJECT "'"

enum { STEP_MS = 30000 };

struct systemd_bus {
	struct dbus *d;
	bool is_peer; /* systemd itself at the other end, no bus between */
	bool is_subscribed;
};

static int open_system(struct systemd_bus *b, struct err *e)
{
	const char *given = getenv("DBUS_SYSTEM_BUS_ADDRESS");
	uint64_t deadline = dbus_deadline(STEP_MS);
	int r = dbus_open(given && *given ? given : "unix:path=/run/dbus/system_bus_socket", true,
			  deadline, &b->d);

	if (r < 0 && geteuid() == 0) {
		/* early at boot, or no bus installed */
		if (dbus_open("unix:path=/run/systemd/private", false, deadline, &b->d) == 0) {
			b->is_peer = true;
			return 0;
		}
	}
	return r < 0 ? err_sys(e, -r, "unable to connect to the system's D-Bus") : 0;
}

static int open_user(struct systemd_bus *b, struct err *e)
{
	const char *given = getenv("DBUS_SESSION_BUS_ADDRESS");
	const char *dir = getenv("XDG_RUNTIME_DIR");
	AUTO_FREE char *address = NULL, *path = NULL;

	if (given && *given) {
		address = xstrdup(given);
	} else if (dir && *dir) {
		path = xasprintf("%s/bus", dir);
		if (access(path, F_OK) == 0)
			address = xasprintf("unix:path=%s", path);
	}
	if (!address)
		return err_set(e, ERR_FAILED_PRECONDITION,
			       "could not detect DBUS_SESSION_BUS_ADDRESS. Make sure you have "
			       "installed the dbus-user-session or dbus-daemon package and then "
			       "run: `systemctl --user start dbus`");
	int r = dbus_open(address, true, dbus_deadline(STEP_MS), &b->d);
	return r < 0 ? err_sys(e, -r, "unable to connect to the user's D-Bus at %s", address) : 0;
}

int systemd_bus_open(bool is_user, struct systemd_bus **ret, struct err *e)
{
	AUTO_SYSTEMD_BUS struct systemd_bus *b = NEW(struct systemd_bus);

	if ((is_user ? open_user(b, e) : open_system(b, e)) < 0)
		return -1;
	*ret = TAKE_PTR(b);
	return 0;
}

void systemd_bus_close(struct systemd_bus *b)
{
	if (b)
		dbus_close(b->d);
	free(b);
}

/* An error's sentence is its first argument, as D-Bus has it by custom. */
static const char *error_text(struct dbus_message *m)
{
	const char *text = *m->signature == 's' ? dbus_get_string(&m->body) : "";

	return *text ? text : m->error;
}

/* ret_error: the error's name, "" for none; what is not asked for becomes our own error. */
static int call(struct systemd_bus *b, const char *interface, const char *member,
		const struct dbus_value *args, size_t n, struct dbus_message *m, struct err *e)
{
	bool is_bus = strcmp(interface, BUS) == 0;
	int r = dbus_call(b->d,
			  is_bus       ? BUS
			  : b->is_peer ? ""
				       : SERVICE,
			  is_bus ? "/org/freedesktop/DBus" : OBJECT, interface, member, args, n,
			  dbus_deadline(STEP_MS), m);

	if (r < 0)
		return err_sys(e, -r, "call %s of systemd", member);
	if (m->type == DBUS_ERROR)
		return err_set(e,
			       strcmp(m->error, SERVICE ".UnitExists") == 0   ? ERR_ALREADY_EXISTS
			       : strcmp(m->error, SERVICE ".NoSuchUnit") == 0 ? ERR_NOT_FOUND
									      : ERR_UNKNOWN,
			       "%s", error_text(m));
	return 0;
}

static int manager(struct systemd_bus *b, const char *member, const struct dbus_value *args,
		   size_t n, struct dbus_message *m, struct err *e)
{
	return call(b, MANAGER, member, args, n, m, e);
}

int systemd_bus_manager_property(struct systemd_bus *b, struct arena *a, const char *name,
				 const char **ret, struct err *e)
{
	struct dbus_value args[] = { dbus_string(MANAGER), dbus_string(name) };
	struct dbus_message m;

	if (call(b, "org.freedesktop.DBus.Properties", "Get", args, ARRAY_LEN(args), &m, e) < 0)
		return err_wrap(e, "unable to get the property %s of systemd", name);
	const char *type = strcmp(m.signature, "v") == 0 ? dbus_get_signature(&m.body) : "";
	const char *text = strcmp(type, "s") == 0 ? dbus_get_string(&m.body) : "";
	if (m.body.bad || strcmp(type, "s") != 0)
		return err_set(e, ERR_INTERNAL, "systemd's property %s is not a string", name);
	*ret = arena_strdup(a, text);
	return 0;
}

/* So that the end of jobs is told.  systemd counts us once, however often it is asked. */
static int subscribe(struct systemd_bus *b, struct err *e)
{
	struct dbus_value match = dbus_string(MATCH);
	struct err again = { 0 };
	struct dbus_message m;

	if (b->is_subscribed)
		return 0;
	if (!b->is_peer && call(b, BUS, "AddMatch", &match, 1, &m, e) < 0)
		return -1;
	if (manager(b, "Subscribe", NULL, 0, &m, &again) < 0 &&
	    strcmp(m.error, SERVICE ".AlreadySubscribed") != 0)
		return err_copy(e, &again);
	b->is_subscribed = true;
	return 0;
}

/* How the job ended ("done"), in the arena; jobs of others pass by.  A reply comes before the
 * signal of its job: none is missed. */
static int wait_for_job(struct systemd_bus *b, struct arena *a, const char *job, const char **ret,
			struct err *e)
{
	uint64_t deadline = dbus_deadline(STEP_MS);
	struct dbus_message m;

	for (;;) {
		int r = dbus_next_signal(b->d, deadline, &m);

		if (r < 0)
			return err_sys(e, -r, "wait for a job of systemd");
		if (strcmp(m.member, "JobRemoved") != 0 || strcmp(m.interface, MANAGER) != 0 ||
		    strcmp(m.signature, "uoss") != 0)
			continue;
		(void)dbus_get_u32(&m.body); /* its number is in the path */
		const char *path = dbus_get_string(&m.body);
		(void)dbus_get_string(&m.body); /* the unit is known */
		const char *result = dbus_get_string(&m.body);
		if (m.body.bad)
			return err_set(e, ERR_INTERNAL, "systemd's JobRemoved cannot be read");
		if (strcmp(path, job) == 0) {
			*ret = arena_strdup(a, result);
			return 0;
		}
	}
}

/* A call that makes a job, and its end. */
static int run_job(struct systemd_bus *b, struct arena *a, const char *member,
		   const struct dbus_value *args, size_t n, const char **ret, struct err *e)
{
	struct dbus_message m;

	if (subscribe(b, e) < 0 || manager(b, member, args, n, &m, e) < 0)
		return -1;
	const char *job = strcmp(m.signature, "o") == 0 ? dbus_get_string(&m.body) : "";
	if (!*job)
		return err_set(e, ERR_INTERNAL, "systemd's answer to %s is not a job", member);
	return wait_for_job(b, a, arena_strdup(a, job), ret, e);
}

static void reset_failed(struct systemd_bus *b, const char *unit)
{
	struct dbus_value name = dbus_string(unit);
	struct dbus_message m;
	struct err ignored = { 0 };

	/* most often there is none, which is an error to systemd and what we want */
	(void)manager(b, "ResetFailedUnit", &name, 1, &m, &ignored);
}

/* a(sv) */
static struct dbus_value property_list(struct arena *a, const struct systemd_properties *p)
{
	struct dbus_value *v = arena_array(a, p->n, sizeof *v);

	for (size_t i = 0; i < p->n; i++) {
		struct dbus_value pair[] = { dbus_string(p->v[i].name),
					     dbus_variant(a, p->v[i].value) };

		v[i] = dbus_struct(a, pair, ARRAY_LEN(pair));
	}
	return dbus_array(a, "(sv)", v, p->n);
}

int systemd_bus_start(struct systemd_bus *b, struct arena *a, const char *unit,
		      const struct systemd_properties *p, struct err *e)
{
	struct dbus_value args[] = { dbus_string(unit), dbus_string("replace"), property_list(a, p),
				     dbus_array(a, "(sa(sv))", NULL, 0) };
	const char *result = "";
	int r = run_job(b, a, "StartTransientUnit", args, ARRAY_LEN(args), &result, e);

	if (r < 0 && e->code == ERR_ALREADY_EXISTS) {
		err_clear(e); /* perhaps only the remains of a failed one */
		reset_failed(b, unit);
		r = run_job(b, a, "StartTransientUnit", args, ARRAY_LEN(args), &result, e);
	}
	if (r < 0) {
		if (e->errnum == ETIMEDOUT) {
			reset_failed(b, unit);
			err_clear(e);
			return err_set(e, ERR_DEADLINE_EXCEEDED,
				       "Timeout waiting for systemd to create %s", unit);
		}
		return -1;
	}
	if (strcmp(result, "done") == 0)
		return 0;
	reset_failed(b, unit);
	return err_set(e, ERR_UNKNOWN, "error creating systemd unit `%s`: got `%s`", unit, result);
}

int systemd_bus_stop(struct systemd_bus *b, const char *unit, struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct dbus_value args[] = { dbus_string(unit), dbus_string("replace") };
	const char *result = "done";
	struct err here = { 0 };

	if (run_job(b, a, "StopUnit", args, ARRAY_LEN(args), &result, &here) < 0) {
		if (here.errnum == ETIMEDOUT)
			return err_set(e, ERR_DEADLINE_EXCEEDED,
				       "Timed out while waiting for systemd to remove %s", unit);
		if (here.code != ERR_NOT_FOUND)
			return err_copy(e, &here);
	}
	if (strcmp(result, "done") != 0)
		log_warn(LOG_NONE, "error removing unit `%s`: got `%s`. Continuing...", unit,
			 result);
	reset_failed(b, unit); /* a failed one stays until somebody says so */
	return 0;
}

int systemd_bus_set(struct systemd_bus *b, struct arena *a, const char *unit,
		    const struct systemd_properties *p, struct err *e)
{
	struct dbus_value args[] = { dbus_string(unit), dbus_bool(true), property_list(a, p) };
	struct dbus_message m;

	if (!p->n)
		return 0;
	return manager(b, "SetUnitProperties", args, ARRAY_LEN(args), &m, e);
}

int systemd_bus_attach(struct systemd_bus *b, const char *unit, const char *sub, pid_t pid,
		       struct err *e)
{
	AUTO_ARENA struct arena *a = arena_new();
	struct dbus_value one = dbus_u32((uint32_t)pid);
	struct dbus_value args[] = { dbus_string(unit), dbus_string(sub),
				     dbus_array(a, "u", &one, 1) };
	struct dbus_message m;

	return manager(b, "AttachProcessesToUnit", args, ARRAY_LEN(args), &m, e);
}
