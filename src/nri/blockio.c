#include "nri/blockio.h"

#include "base/mem.h"
#include "base/yaml.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { FILE_MAX = 1 << 20, WEIGHT_MIN = 10, WEIGHT_MAX = 1000 };

struct blockio {
	json_object *classes; /* name to blockIO */
};

struct line {
	int64_t weight, throttles[4]; /* -1: not said */
	json_object *devices; /* NULL: of all others */
};

static const char *const throttle_keys[][2] = {
	{ "ThrottleReadBps", "throttleReadBpsDevice" },
	{ "ThrottleWriteBps", "throttleWriteBpsDevice" },
	{ "ThrottleReadIOPS", "throttleReadIOPSDevice" },
	{ "ThrottleWriteIOPS", "throttleWriteIOPSDevice" },
};

/* --- what the file says --- */

/* Case does not matter, as in Go's reader. */
static json_object *get(json_object *o, const char *key)
{
	if (!json_object_is_type(o, json_type_object))
		return NULL;
	json_object_object_foreach(o, k, v) if (!strcasecmp(k, key)) return v;
	return NULL;
}

/* What a suffix stands for; 0: there is no such one. */
static double factor_of(const char *suffix)
{
	static const struct {
		const char *name;
		double factor;
	} rows[] = {
		{ "", 1 },        { "m", 1e-3 },     { "k", 1e3 },         { "M", 1e6 },
		{ "G", 1e9 },     { "T", 1e12 },     { "P", 1e15 },        { "E", 1e18 },
		{ "Ki", 1024 },   { "Mi", 1048576 }, { "Gi", 1073741824 }, { "Ti", 1099511627776. },
		{ "Pi", 0x1p50 }, { "Ei", 0x1p60 },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strcmp(suffix, rows[i].name))
			return rows[i].factor;
	return 0;
}

/* A quantity as Kubernetes writes them, rounded up: "5k", "1.5Mi", "2e3". */
static bool parse_quantity(const char *text, int64_t *ret)
{
	char *end;

	if (strspn(text, "+-.0123456789") == 0)
		return false;
	double v = strtod(text, &end), factor = factor_of(end);

	v *= factor;
	if (end == text || factor == 0 || v > 9e18 || v < -9e18)
		return false;
	*ret = (int64_t)v;
	if ((double)*ret < v)
		(*ret)++;
	return true;
}

static int take(json_object *from, const char *key, int64_t min, int64_t max, int64_t *ret,
		struct err *e)
{
	json_object *v = get(from, key);
	const char *text = v ? json_object_get_string(v) : "";
	int64_t n;

	*ret = -1;
	if (!*text)
		return 0;
	if (!parse_quantity(text, &n))
		return err_set(e, ERR_INVALID_ARGUMENT, "syntax error in \"%s\" (\"%.100s\")", key,
			       text);
	if (n < min)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "value of \"%s\" (%lld) smaller than minimum (%lld)", key,
			       (long long)n, (long long)min);
	if (n > max)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "value of \"%s\" (%lld) bigger than maximum (%lld)", key,
			       (long long)n, (long long)max);
	*ret = n;
	return 0;
}

static int read_line(json_object *from, struct line *ret, struct err *e)
{
	if (!json_object_is_type(from, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "an entry of a class is no map");
	ret->devices = get(from, "Devices");
	if (ret->devices && !json_object_is_type(ret->devices, json_type_array))
		return err_set(e, ERR_INVALID_ARGUMENT, "Devices is no list");
	if (take(from, "Weight", WEIGHT_MIN, WEIGHT_MAX, &ret->weight, e) < 0)
		return -1;
	for (size_t i = 0; i < ARRAY_LEN(throttle_keys); i++) {
		if (take(from, throttle_keys[i][0], 0, INT64_MAX, &ret->throttles[i], e) < 0)
			return -1;
		if (!ret->devices && ret->throttles[i] >= 0)
			return err_set(e, ERR_INVALID_ARGUMENT,
				       "%s without Devices: limits are a device's",
				       throttle_keys[i][0]);
	}
	return 0;
}

/* --- the devices --- */

static bool is_partition(dev_t dev)
{
	AUTO_FREE char *path = xasprintf("/sys/dev/block/%u:%u/partition", major(dev), minor(dev));

	return access(path, F_OK) == 0;
}

/* The weight is the scheduler's, and only some have one. */
static void check_scheduler(dev_t dev, const char *path, struct strv *warnings)
{
	AUTO_FREE char *file =
		xasprintf("/sys/dev/block/%u:%u/queue/scheduler", major(dev), minor(dev));
	AUTO_FREE char *text = NULL;
	char *name, *end;

	if (file_read(AT_FDCWD, file, 4096, &text, NULL) < 0)
		return;
	name = strchr(text, '[') ? strchr(text, '[') + 1 : text;
	end = name + strcspn(name, "]\n");
	*end = 0;
	if (strcmp(name, "bfq") != 0 && strcmp(name, "cfq") != 0)
		strv_addf(warnings,
			  "weight has no effect on device \"%s\" due to incompatible I/O scheduler "
			  "\"%s\" (bfq or cfq required)",
			  path, name);
}

/* The device's entry in a list, in the place of an earlier one. */
static void set_entry(json_object *io, const char *list_name, dev_t dev, const char *key, int64_t v)
{
	json_object *list = get(io, list_name), *entry;

	if (!list) {
		list = json_object_new_array();
		json_object_object_add(io, list_name, list);
	}
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		entry = json_object_array_get_idx(list, i);
		if (json_object_get_int64(get(entry, "major")) == major(dev) &&
		    json_object_get_int64(get(entry, "minor")) == minor(dev)) {
			json_object_object_add(entry, key, json_object_new_int64(v));
			return;
		}
	}
	entry = json_object_new_object();
	json_object_object_add(entry, "major", json_object_new_int64(major(dev)));
	json_object_object_add(entry, "minor", json_object_new_int64(minor(dev)));
	json_object_object_add(entry, key, json_object_new_int64(v));
	json_object_array_add(list, entry);
}

static bool apply_device(const struct line *l, const char *path, json_object *io,
			 struct strv *warnings)
{
	struct stat st;

	if (stat(path, &st) < 0 || !S_ISBLK(st.st_mode)) {
		strv_addf(warnings, "file \"%s\" is no block device", path);
		return false;
	}
	if (is_partition(st.st_rdev)) {
		strv_addf(warnings, "skipping \"%s\": cannot weight/throttle partitions", path);
		return false;
	}
	if (l->weight >= 0) {
		check_scheduler(st.st_rdev, path, warnings);
		set_entry(io, "weightDevice", st.st_rdev, "weight", l->weight);
	}
	for (size_t i = 0; i < ARRAY_LEN(throttle_keys); i++)
		if (l->throttles[i] >= 0)
			set_entry(io, throttle_keys[i][1], st.st_rdev, "rate", l->throttles[i]);
	return true;
}

static void apply_devices(const struct line *l, json_object *io, struct strv *warnings)
{
	bool has_any = false;

	for (size_t i = 0; i < json_object_array_length(l->devices); i++) {
		const char *pattern =
			json_object_get_string(json_object_array_get_idx(l->devices, i)) ?: "";
		glob_t found = { 0 };

		if (glob(pattern, 0, NULL, &found) == 0)
			for (size_t k = 0; k < found.gl_pathc; k++)
				has_any |= apply_device(l, found.gl_pathv[k], io, warnings);
		else
			strv_addf(warnings,
				  "device wildcard \"%s\" does not match any device nodes",
				  pattern);
		globfree(&found);
	}
	if (!has_any)
		strv_addf(warnings, "no matches on any of Devices: %s, parameters ignored",
			  json_object_to_json_string(l->devices));
}

static int read_class(json_object *lines, json_object *io, struct strv *warnings, struct err *e)
{
	if (lines && !json_object_is_type(lines, json_type_array))
		return err_set(e, ERR_INVALID_ARGUMENT, "a class is no list");
	for (size_t i = 0; lines && i < json_object_array_length(lines); i++) {
		struct line l;

		if (read_line(json_object_array_get_idx(lines, i), &l, e) < 0)
			return -1;
		if (l.devices)
			apply_devices(&l, io, warnings);
		else if (l.weight >= 0)
			json_object_object_add(io, "weight", json_object_new_int64(l.weight));
	}
	return 0;
}

static int read_classes(struct blockio *b, json_object *top, struct strv *warnings, struct err *e)
{
	json_object *classes = get(top, "Classes");

	if (top && !json_object_is_type(top, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "the document is no map");
	if (classes && !json_object_is_type(classes, json_type_object))
		return err_set(e, ERR_INVALID_ARGUMENT, "Classes is no map");
	if (!classes)
		return 0;
	json_object_object_foreach(classes, name, lines)
	{
		json_object *io = json_object_new_object();

		json_object_object_add(b->classes, name, io);
		if (read_class(lines, io, warnings, e) < 0)
			return err_wrap(e, "class \"%.100s\"", name);
	}
	return 0;
}

int blockio_load(const char *path, struct blockio **ret, struct strv *warnings, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_JSON json_object *top = NULL;
	AUTO_BLOCKIO struct blockio *b = NEW(struct blockio);
	size_t n;
	int r = file_read(AT_FDCWD, path, FILE_MAX, &text, &n);

	if (r < 0)
		return err_sys(e, -r, "failed to read config file \"%s\": open %s", path, path);
	b->classes = json_object_new_object();
	if (yaml_parse(text, n, &top, e) < 0 || read_classes(b, top, warnings, e) < 0)
		return err_wrap(e, "failed to set configuration from file \"%s\"", path);
	*ret = TAKE_PTR(b);
	return 0;
}

void blockio_free(struct blockio *b)
{
	if (!b)
		return;
	json_object_put(b->classes);
	free(b);
}

int blockio_class(const struct blockio *b, const char *name, json_object **ret, struct err *e)
{
	json_object *class;

	*ret = NULL;
	if (!b || !json_object_object_get_ex(b->classes, name, &class))
		return err_set(e, ERR_NOT_FOUND, "no OCI BlockIO parameters for class \"%.200s\"",
			       name);
	/* json-c counts references without a lock: nobody may have one to what threads share */
	if (json_object_deep_copy(class, ret, NULL) < 0)
		return err_sys(e, errno, "copy class \"%.200s\"", name);
	return 0;
}
