#include "cmd/containerd/debug.h"

#include "api/containerd/metrics.h"
#include "base/jsonw.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/pool.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

enum { PROC_MAX = 64 * 1024, DUMP_MAX = 1 << 20 };

static unsigned count_entries(const char *folder)
{
	DIR *d = opendir(folder);
	unsigned n = 0;

	if (!d)
		return 0;
	for (const struct dirent *at; (at = readdir(d));)
		n += at->d_name[0] != '.';
	closedir(d);
	return n;
}

static uint64_t resident_bytes(void)
{
	AUTO_FREE char *text = NULL;
	unsigned long long total = 0, resident = 0;

	if (file_read(AT_FDCWD, "/proc/self/statm", PROC_MAX, &text, NULL) < 0 ||
	    sscanf(text, "%llu %llu", &total, &resident) != 2)
		return 0;
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
	struct rusage u;

	if (getrusage(RUSAGE_SELF, &u) < 0)
		return 0;
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void print_process(struct debug *d, struct str *out)
{
	struct rlimit l = { 0 };
	struct timespec now;

	(void)getrlimit(RLIMIT_NOFILE, &l); /* 0 is shown */
	clock_gettime(CLOCK_REALTIME, &now);
	str_addf(out,
		 "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.6f\n"
		 "# TYPE process_max_fds gauge\nprocess_max_fds %llu\n"
		 "# TYPE process_open_fds gauge\nprocess_open_fds %u\n"
		 "# TYPE process_resident_memory_bytes gauge\n"
		 "process_resident_memory_bytes %llu\n"
		 "# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %.3f\n"
		 "# TYPE process_threads gauge\nprocess_threads %u\n",
		 cpu_seconds(), (unsigned long long)l.rlim_cur, count_entries("/proc/self/fd"),
		 (unsigned long long)resident_bytes(),
		 (double)now.tv_sec - (double)(loop_now() - d->started) / 1e9,
		 count_entries("/proc/self/task"));
}

const char *debug_metrics_page(void *arg, const char *path, struct str *out)
{
	struct debug *d = arg;

	if (strcmp(path, "/v1/metrics") != 0 && strcmp(path, "/metrics") != 0)
		return NULL;
	str_addf(out,
		 "# HELP containerd_build_info_total containerd build information\n"
		 "# TYPE containerd_build_info_total counter\n"
		 "containerd_build_info_total{revision=\"\",version=\"%s\"} 1\n",
		 CASCO_VERSION);
	api_metrics(d->engine, out);
	requests_print(d->requests, out);
	print_process(d, out);
	return "text/plain; version=0.0.4; charset=utf-8";
}

static void print_vars(struct debug *d, struct str *out)
{
	struct jsonw w;

	jsonw_init(&w, out, 2);
	jsonw_object(&w);
	jsonw_kstring(&w, "version", CASCO_VERSION);
	jsonw_ki64(&w, "pid", getpid());
	jsonw_ku64(&w, "uptime_seconds", (loop_now() - d->started) / 1000000000u);
	jsonw_ku64(&w, "resident_bytes", resident_bytes());
	jsonw_ku64(&w, "open_files", count_entries("/proc/self/fd"));
	jsonw_ku64(&w, "threads", count_entries("/proc/self/task"));
	jsonw_ku64(&w, "pool_threads", pool_threads(d->engine->pool));
	jsonw_end(&w);
	str_addc(out, '\n');
}

/* One line a thread: id, name, state, and where in the kernel it stands. */
static void print_threads(struct str *out)
{
	static const char *const files[] = { "comm", "stat", "wchan", "syscall" };
	DIR *d = opendir("/proc/self/task");

	if (!d)
		return;
	for (const struct dirent *at; (at = readdir(d));) {
		if (at->d_name[0] == '.')
			continue;
		str_addf(out, "thread %s\n", at->d_name);
		for (size_t i = 0; i < ARRAY_LEN(files); i++) {
			AUTO_FREE char *path =
				xasprintf("/proc/self/task/%s/%s", at->d_name, files[i]);
			AUTO_FREE char *text = NULL;

			if (file_read(AT_FDCWD, path, PROC_MAX, &text, NULL) == 0)
				str_addf(out, "  %s: %.*s\n", files[i], (int)strcspn(text, "\n"),
					 text);
		}
	}
	closedir(d);
}

const char *debug_page(void *arg, const char *path, struct str *out)
{
	if (!strcmp(path, "/debug/vars")) {
		print_vars(arg, out);
		return "application/json; charset=utf-8";
	}
	if (!strcmp(path, "/debug/threads")) {
		print_threads(out);
		return "text/plain; charset=utf-8";
	}
	return debug_metrics_page(arg, path, out);
}

void debug_dump(const char *folder)
{
	AUTO_STR struct str out = STR_INIT(DUMP_MAX);
	uint64_t name = 0;

	print_threads(&out);
	if (getrandom(&name, sizeof name, 0) != sizeof name)
		return;
	AUTO_FREE char *path = xasprintf("%s/containerd.%d.%016llx.threads.log", folder, getpid(),
					 (unsigned long long)name);
	AUTO_FD int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, str_c(&out), out.len) != (ssize_t)out.len)
		log_error(LOG({ "path", path }, { "error", err_errno_text(errno) }),
			  "cannot write the threads");
	else
		log_info(LOG({ "path", path }), "threads written");
}
