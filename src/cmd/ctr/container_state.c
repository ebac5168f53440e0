#include "cmd/ctr/container_state.h"

#include "base/jsonr.h"
#include "base/num.h"
#include "base/signame.h"
#include "base/timefmt.h"
#include "os/file.h"

#include <fcntl.h>
#include <unistd.h>

enum { HISTORY_MAX = 64 << 10, STAT_MAX = 4096, STARTTIME = 20 };

const char *task_status_word(Containerd__V1__Types__Status s)
{
	static const char *const words[] = { "unknown", "created", "running",
					     "stopped", "paused",  "pausing" };

	return (size_t)s < ARRAY_LEN(words) ? words[s] : "unknown";
}

const char *status_signal(struct arena *a, uint32_t status)
{
	const char *name = status > 128 ? signal_name((int)(status - 128)) : NULL;

	return name ? arena_printf(a, "SIG%s", name) : NULL;
}

static const char *text_of(struct arena *a, json_object *o, const char *key)
{
	const char *s = NULL;
	struct err bad = { 0 };

	return jsonr_string(o, key, &s, &bad) == 0 && s ? arena_strdup(a, s) : NULL;
}

static void read_history(struct ctr *ctr, const char *path, struct past *p)
{
	json_object *o AUTO_JSON = NULL;
	char *text AUTO_FREE = NULL;
	struct err bad = { 0 };
	uint64_t status = 0;
	size_t n;

	if (file_read(AT_FDCWD, path, HISTORY_MAX, &text, &n) < 0 ||
	    jsonr_parse(text, n, &o, &bad) < 0)
		return; /* nothing is remembered */
	p->exited_at = text_of(ctr->arena, o, "exited_at");
	p->has_exit = p->exited_at && jsonr_u64(o, "exit_status", &status, &bad) == 0;
	p->status = (uint32_t)status;
	p->oom_at = text_of(ctr->arena, o, "oom_at");
	p->is_oom = p->oom_at != NULL;
	p->error = text_of(ctr->arena, o, "error");
	p->error_at = text_of(ctr->arena, o, "error_at");
}

void past_read(struct ctr *ctr, const char *dir, const char *id,
	       const Containerd__V1__Types__Process *task, struct past *ret)
{
	*ret = (struct past){ 0 };
	if (*dir)
		read_history(ctr, arena_printf(ctr->arena, "%s/%s/%s", dir, ctr->ns, id), ret);
	if (!task || task->status != CONTAINERD__V1__TYPES__STATUS__STOPPED)
		return;
	ret->has_exit = true;
	ret->status = task->exit_status;
	ret->exited_at = time_rfc3339(ctr->arena, task->exited_at);
}

const char *age_of(struct arena *a, const char *time)
{
	Google__Protobuf__Timestamp t = GOOGLE__PROTOBUF__TIMESTAMP__INIT;
	struct timespec ts;

	if (!time || timefmt_parse(time, &ts) < 0)
		return "";
	t.seconds = ts.tv_sec;
	return age_text(a, &t);
}

/* The twentieth field behind the program's name, in ticks since the machine's start. */
int64_t process_age(uint32_t pid)
{
	char *path AUTO_FREE = xasprintf("/proc/%u/stat", pid), *text AUTO_FREE = NULL, *p;
	struct timespec now;
	uint64_t ticks;
	long hz = sysconf(_SC_CLK_TCK);

	if (hz <= 0 || file_read(AT_FDCWD, path, STAT_MAX, &text, NULL) < 0)
		return -1;
	p = strrchr(text, ')');
	for (int i = 0; p && i < STARTTIME; i++)
		p = strchr(p + 1, ' ');
	if (!p || !*++p)
		return -1;
	p[strcspn(p, " ")] = 0;
	if (num_u64(p, &ticks) < 0)
		return -1;
	clock_gettime(CLOCK_BOOTTIME, &now);
	return now.tv_sec - (int64_t)(ticks / (uint64_t)hz);
}

void task_put(struct ctr *ctr, struct jsonw *w, const Containerd__V1__Types__Process *p)
{
	jsonw_key(w, "Task");
	if (!p) {
		jsonw_raw(w, "null");
		return;
	}
	jsonw_object(w);
	jsonw_kstring(w, "Status", task_status_word(p->status));
	jsonw_ku64(w, "Pid", p->pid);
	if (p->status == CONTAINERD__V1__TYPES__STATUS__STOPPED) {
		jsonw_ku64(w, "ExitStatus", p->exit_status);
		jsonw_kstring(w, "ExitedAt", time_rfc3339(ctr->arena, p->exited_at));
	}
	jsonw_kstring(w, "Stdin", p->stdin);
	jsonw_kstring(w, "Stdout", p->stdout);
	jsonw_kstring(w, "Stderr", p->stderr);
	jsonw_kbool(w, "Terminal", p->terminal);
	jsonw_end(w);
}
