/* runc update: from options, or from a document. */
#include "cmd/runc/cli.h"

#include "base/log.h"
#include "base/num.h"
#include "os/fd.h"
#include "os/file.h"
#include "runtime/rdt_update.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define U(field) offsetof(struct options, update.field)
enum { DOCUMENT_MAX = 16 << 20 };

static const struct option update_options[] = {
	{ "resources", "r", OPTION_STRING, U(resources),
	  "path to the file containing the resources to update or '-' to read from the standard "
	  "input: the object linux.resources of the runtime spec, of which unchanged values can "
	  "be left out. All other options are ignored then." },
	{ "blkio-weight", NULL, OPTION_INT, U(blkio_weight),
	  "Specifies per cgroup weight, range is from 10 to 1000 (default: 0)" },
	{ "cpu-period", NULL, OPTION_STRING, U(cpu_period),
	  "CPU CFS period to be used for hardcapping (in usecs). 0 to use system default" },
	{ "cpu-quota", NULL, OPTION_STRING, U(cpu_quota),
	  "CPU CFS hardcap limit (in usecs). Allowed cpu time in a given period" },
	{ "cpu-burst", NULL, OPTION_STRING, U(cpu_burst),
	  "CPU CFS hardcap burst limit (in usecs). Allowed accumulated cpu time additionally for "
	  "burst a given period" },
	{ "cpu-share", NULL, OPTION_STRING, U(cpu_share),
	  "CPU shares (relative weight vs. other containers)" },
	{ "cpu-rt-period", NULL, OPTION_STRING, U(cpu_rt_period),
	  "CPU realtime period to be used for hardcapping (in usecs). 0 to use system default" },
	{ "cpu-rt-runtime", NULL, OPTION_STRING, U(cpu_rt_runtime),
	  "CPU realtime hardcap limit (in usecs). Allowed cpu time in a given period" },
	{ "cpuset-cpus", NULL, OPTION_STRING, U(cpuset_cpus), "CPU(s) to use" },
	{ "cpuset-mems", NULL, OPTION_STRING, U(cpuset_mems), "Memory node(s) to use" },
	{ "kernel-memory", NULL, OPTION_STRING, U(kernel_memory), NULL },
	{ "kernel-memory-tcp", NULL, OPTION_STRING, U(kernel_memory_tcp), NULL },
	{ "memory", NULL, OPTION_STRING, U(memory), "Memory limit (in bytes)" },
	{ "cpu-idle", NULL, OPTION_STRING, U(cpu_idle),
	  "set cgroup SCHED_IDLE or not, 0: default behavior, 1: SCHED_IDLE" },
	{ "memory-reservation", NULL, OPTION_STRING, U(memory_reservation),
	  "Memory reservation or soft_limit (in bytes)" },
	{ "memory-swap", NULL, OPTION_STRING, U(memory_swap),
	  "Total memory usage (memory + swap); set '-1' to enable unlimited swap" },
	{ "pids-limit", NULL, OPTION_INT, U(pids_limit),
	  "Maximum number of pids allowed in the container; set '-1' for no limit" },
	{ "l3-cache-schema", NULL, OPTION_STRING, U(l3_cache_schema),
	  "The string of Intel RDT/CAT L3 cache schema" },
	{ "mem-bw-schema", NULL, OPTION_STRING, U(mem_bw_schema),
	  "The string of Intel RDT/MBA memory bandwidth schema" },
	{ NULL },
};

/* Go's words for a number that is none. */
static int bad_number(const char *option, const char *call, const char *text, int r, struct err *e)
{
	return err_set(e, ERR_INVALID_ARGUMENT,
		       "invalid value for %s: strconv.%s: parsing \"%s\": %s", option, call, text,
		       r == -ERANGE ? "value out of range" : "invalid syntax");
}

static int take_u64(const char *option, const char *text, struct oci_u64 *ret, struct err *e)
{
	if (!text || !*text)
		return 0;
	int r = num_u64(text, &ret->v);
	if (r < 0)
		return bad_number(option, "ParseUint", text, r, e);
	ret->has = true;
	return 0;
}

static int take_i64(const char *option, const char *text, struct oci_i64 *ret, struct err *e)
{
	if (!text || !*text)
		return 0;
	int r = num_i64(text + (*text == '+'), &ret->v);
	if (r < 0)
		return bad_number(option, "ParseInt", text, r, e);
	ret->has = true;
	return 0;
}

/* "b", "k", "kb", "kib" and so on up to p: by how much; 0 for a suffix that is none. */
static uint64_t unit_of(const char *suffix)
{
	static const char units[] = "bkmgtp";
	const char *u = strchr(units, tolower((unsigned char)*suffix));
	const char *rest = suffix + 1;

	if (!*suffix)
		return 1;
	if (!u ||
	    (*rest && (u == units || (strcasecmp(rest, "b") != 0 && strcasecmp(rest, "ib") != 0))))
		return 0;
	return UINT64_C(1) << (10 * (u - units));
}

/* Bytes as go-units reads them: "512", "1.5g", "64 MiB"; "-1" is no limit. */
static int take_bytes(const char *option, const char *text, struct oci_i64 *ret, struct err *e)
{
	size_t whole, number;
	double v = 0, place = 1;

	if (!text || !*text)
		return 0;
	*ret = (struct oci_i64){ .v = -1, .has = true };
	if (strcmp(text, "-1") == 0)
		return 0;
	whole = strspn(text, "0123456789");
	number = whole + (text[whole] == '.');
	number += strspn(text + number, "0123456789") * (number > whole);
	const char *suffix = text + number + (text[number] == ' ');
	uint64_t unit = unit_of(suffix);
	if (!number || (number == 1 && !whole))
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid value for %s: invalid size: '%s'",
			       option, text);
	if (!unit)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid value for %s: invalid suffix: '%s'", option, suffix);
	for (size_t i = 0; i < number; i++) {
		if (text[i] == '.')
			continue;
		v = i < whole ? v * 10 + (text[i] - '0') : v + (text[i] - '0') * (place /= 10);
	}
	v *= (double)unit;
	if (v >= 0x1p63)
		return err_set(e, ERR_INVALID_ARGUMENT, "invalid value for %s: invalid size: '%s'",
			       option, text);
	ret->v = (int64_t)v;
	return 0;
}

static int take_weight(const struct invocation *in, struct oci_u64 *ret, struct err *e)
{
	int weight = in->o.update.blkio_weight;

	if (weight < 0)
		return err_set(e, ERR_INVALID_ARGUMENT,
			       "invalid blkio weight %d (valid range is 10-1000)", weight);
	*ret = (struct oci_u64){ .v = (uint64_t)weight, .has = weight };
	return 0;
}

static int from_options(const struct invocation *in, struct oci_resources *r, struct err *e)
{
	const struct update_flags *u = &in->o.update;
	struct oci_memory *m = &r->memory;
	struct oci_cpu *c = &r->cpu;

	c->cpus = u->cpuset_cpus;
	c->mems = u->cpuset_mems;
	if (take_weight(in, &r->blkio.weight, e) < 0 ||
	    take_i64("cpu-idle", u->cpu_idle, &c->idle, e) < 0 ||
	    take_u64("cpu-burst", u->cpu_burst, &c->burst, e) < 0 ||
	    take_u64("cpu-period", u->cpu_period, &c->period, e) < 0 ||
	    take_u64("cpu-rt-period", u->cpu_rt_period, &c->realtime_period, e) < 0 ||
	    take_u64("cpu-share", u->cpu_share, &c->shares, e) < 0 ||
	    take_i64("cpu-quota", u->cpu_quota, &c->quota, e) < 0 ||
	    take_i64("cpu-rt-runtime", u->cpu_rt_runtime, &c->realtime_runtime, e) < 0 ||
	    take_bytes("memory", u->memory, &m->limit, e) < 0 ||
	    take_bytes("memory-swap", u->memory_swap, &m->swap, e) < 0 ||
	    take_bytes("kernel-memory", u->kernel_memory, &m->kernel, e) < 0 ||
	    take_bytes("kernel-memory-tcp", u->kernel_memory_tcp, &m->kernel_tcp, e) < 0 ||
	    take_bytes("memory-reservation", u->memory_reservation, &m->reservation, e) < 0)
		return -1;
	r->pids_limit =
		(struct oci_i64){ .v = u->pids_limit, .has = cli_was_given(in, "pids-limit") };
	return 0;
}

static int from_document(struct arena *a, const char *path, struct oci_resources **ret,
			 struct err *e)
{
	AUTO_FREE char *text = NULL;
	size_t len = 0;

	if (strcmp(path, "-") == 0) {
		text = xmalloc(DOCUMENT_MAX + 1); /* only what is written takes memory */
		ssize_t r = fd_read_all(STDIN_FILENO, text, DOCUMENT_MAX + 1);

		if (r < 0)
			return err_sys(e, (int)-r, "read the standard input");
		len = (size_t)r;
	} else {
		int r = file_read(AT_FDCWD, path, DOCUMENT_MAX, &text, &len);

		if (r < 0)
			return err_sys(e, -r, "open %s", path);
	}
	return oci_resources_parse(a, text, len, ret, e);
}

static int run_update(struct invocation *in, struct err *e)
{
	const struct update_flags *u = &in->o.update;
	const struct runtime *rt = &in->global->runtime;
	AUTO_ARENA struct arena *a = arena_new();
	struct oci_resources *r = ARENA_NEW(a, struct oci_resources);
	struct runtime_state s;

	/* a container that is not there is the worse mistake, and told first */
	if (runtime_state(rt, a, in->args[0], &s, e) < 0)
		return -1;
	if ((u->resources && *u->resources ? from_document(a, u->resources, &r, e)
					   : from_options(in, r, e)) < 0)
		return -1;
	struct rdt_update rdt = { .l3_cache_schema = u->l3_cache_schema,
				  .mem_bw_schema = u->mem_bw_schema };
	if (rdt_update_check(&rdt, e) < 0 || runtime_update(rt, in->args[0], r, e) < 0)
		return -1;
	return rdt_update_write(&rdt, &s, e);
}

const struct command command_update = {
	.name = "update",
	.usage = "<container-id>",
	.summary = "update container resource constraints",
	.options = update_options,
	.min_args = 1,
	.max_args = 1,
	.run = run_update,
};
