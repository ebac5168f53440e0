/* The two forms of a log's lines. */
#include "cmd/ctr/logs.h"

#include "base/jsonr.h"
#include "base/timefmt.h"

/* TIME stdout F text */
static bool parse_cri(char *line, size_t n, struct log_record *ret)
{
	char *stream = memchr(line, ' ', n), *tag, *text;

	if (!stream)
		return false;
	*stream++ = 0;
	if (timefmt_parse(line, &ret->time) < 0)
		return false;
	tag = memchr(stream, ' ', n - (size_t)(stream - line));
	if (!tag)
		return false;
	*tag++ = 0;
	text = memchr(tag, ' ', n - (size_t)(tag - line));
	if (!text)
		return false;
	*text++ = 0;
	ret->is_stderr = !strcmp(stream, "stderr");
	ret->is_partial = *tag == 'P';
	ret->text = text;
	ret->len = n - (size_t)(text - line);
	return true;
}

static bool parse_json(const char *line, size_t n, struct str *buf, struct log_record *ret)
{
	json_object *o AUTO_JSON = NULL, *log;
	const char *stream = "", *time = "";
	struct err ignored = { 0 };

	if (jsonr_parse(line, n, &o, &ignored) < 0 || !json_object_object_get_ex(o, "log", &log) ||
	    !json_object_is_type(log, json_type_string) ||
	    jsonr_string(o, "stream", &stream, &ignored) < 0 ||
	    jsonr_string(o, "time", &time, &ignored) < 0 || timefmt_parse(time, &ret->time) < 0)
		return false;
	str_reset(buf);
	str_addn(buf, json_object_get_string(log), (size_t)json_object_get_string_len(log));
	ret->is_stderr = !strcmp(stream, "stderr");
	ret->len = buf->len;
	ret->is_partial = !buf->len || buf->ptr[buf->len - 1] != '\n';
	ret->len -= !ret->is_partial;
	ret->text = str_c(buf);
	return true;
}

bool log_record_parse(char *line, size_t n, struct str *buf, struct log_record *ret)
{
	*ret = (struct log_record){ 0 };
	return n && *line == '{' ? parse_json(line, n, buf, ret) : parse_cri(line, n, ret);
}
