/* SPDX-License-Identifier: Apache-2.0 */
/* A part of GET /v1/status: writes that threads do, and what keeps them from it. */
#include <string.h>

#include "api_reasons.h"
#include "fs.h"
#include "journal.h"
#include "logger.h"
#include "own.h"

#define BACK "everything goes on by itself once it answers"

static uint64_t late_ms(struct pk_writer *writer)
{
	uint64_t ms = writer ? pk_writer_busy_ms(writer) : 0;

	return ms < PK_WRITER_LATE_MS ? 0 : ms;
}

static uint64_t disk_ms(const struct pk_parts *p)
{
	uint64_t ms = late_ms(p->disk), sync = late_ms(p->fsync), sweep = late_ms(p->sweeps);

	ms = sync > ms ? sync : ms;
	return sweep > ms ? sweep : ms;
}

static uint64_t lines_lost(const struct pk_parts *p)
{
	return pk_journal_lost(p->journal) + (p->flowlog ? pk_flowlog_lost(p->flowlog) : 0);
}

/* Says which files of endpoints and of other nodes' words are not written. */
static void unwritten_reason(const struct pk_parts *p, struct pk_reasons *r)
{
	struct pk_err err = { 0 };
	size_t n = p->disk ? pk_writer_unwritten(p->disk, &err) : 0;
	own_str text = { 0 };

	if (!n)
		return;
	pk_str_addf(&text, "%zu file%s of the state directory %s not written: %s", n,
		    n == 1 ? "" : "s", n == 1 ? "is" : "are", err.text);
	pk_api_reason(r, false, "store", text.text, err.fix);
}

/*
 * Says that lines of a file below the root, or of the one that is named, can't be written, or that
 * it can't be rotated (flowlog.h).
 */
static void line_reason(struct pk_reasons *r, const char *root, const char *path, int error,
			unsigned int to)
{
	const char *name = strrchr(path, '/');
	struct pk_err err = { 0 };
	own_str text = { 0 };

	if (error == 0)
		return;
	if (to)
		pk_str_addf(&text,
			    "%s%s can't be rotated (%s.%u: %s): past twice its size its lines are "
			    "lost",
			    root, path, name ? name + 1 : path, to, strerror(-error));
	else
		pk_str_addf(&text, "%s%s can't be written (%s): its lines are lost", root, path,
			    strerror(-error));
	pk_fs_fix(&err, error);
	pk_api_reason(r, false, "lines", text.text,
		      *err.fix ? err.fix : "let there be a file that picketd may write, or none");
}

static void line_reasons(const struct pk_parts *p, struct pk_reasons *r)
{
	unsigned int to;
	int error = pk_journal_error(p->journal, &to);

	line_reason(r, p->config->paths.root, "/var/log/picket/policy.jsonl", error, to);
	if (!p->flowlog)
		return;
	error = pk_flowlog_error(p->flowlog, &to);
	line_reason(r, "", p->config->flows_file, error, to);
}

void pk_api_write_reasons(const struct pk_parts *p, struct pk_reasons *r)
{
	uint64_t disk = disk_ms(p), lines = late_ms(p->lines), log = pk_logger_stuck_ms();
	own_str text = { 0 };

	unwritten_reason(p, r);
	line_reasons(p, r);
	pk_str_addf(&text,
		    "the disk of %s/var/lib/picket has not answered for %lu s: what changed since "
		    "then is in force and not stored",
		    p->config->paths.root, (unsigned long)(disk / 1000));
	if (disk)
		pk_api_reason(r, false, "store", text.text,
			      "see what holds that disk up (dmesg); " BACK);
	pk_str_reset(&text);
	pk_str_addf(&text,
		    "the disk of the flows file and the journal has not answered for %lu s: "
		    "%lu lines are lost",
		    (unsigned long)(lines / 1000), (unsigned long)lines_lost(p));
	if (lines)
		pk_api_reason(r, false, "lines", text.text,
			      "see what holds that disk up (dmesg); " BACK);
	pk_str_reset(&text);
	pk_str_addf(&text, "nobody has read picketd's log for %lu s: %lu lines are lost",
		    (unsigned long)(log / 1000), (unsigned long)pk_logger_lost());
	if (log)
		pk_api_reason(
			r, false, "log", text.text,
			"see that journald, or whoever reads its standard error, runs; " BACK);
}

void pk_api_writes(const struct pk_parts *p, struct pk_jw *w)
{
	pk_jw_open(w, "writes", '{');
	pk_jw_uint(w, "diskSilentMs", disk_ms(p));
	pk_jw_uint(w, "linesSilentMs", late_ms(p->lines));
	pk_jw_uint(w, "journalLost", pk_journal_lost(p->journal));
	pk_jw_uint(w, "logSilentMs", pk_logger_stuck_ms());
	pk_jw_uint(w, "logLost", pk_logger_lost());
	pk_jw_uint(w, "waiting",
		   pk_writer_waiting(p->disk) + pk_writer_waiting(p->lines) + pk_logger_waiting());
	pk_jw_close(w, '}');
}
