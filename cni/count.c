/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts each verb in a file that picketd reads (verb_counts.h). A verb never fails for what can't
 * be counted.
 */
#include "fs.h"
#include "verb.h"
#include "verb_counts.h"

static struct {
	const struct pk_paths *paths; /* NULL: no counting */
	struct pk_counts *counts;     /* NULL: no directory yet */
	int verb;
	uint64_t since_ns;
} counted;

void cni_count_begin(const struct cni_call *call, uint64_t since_ns)
{
	counted.verb = pk_counted_parse(cni_verb_name(call->env.verb));
	if (counted.verb < 0)
		return;
	counted.paths = &call->paths;
	counted.since_ns = since_ns;
	counted.counts = pk_counts_open(counted.paths);
	pk_counts_begin(counted.counts, (enum pk_counted_verb)counted.verb);
}

/* Opens the file late, since this very ADD may have made the directory. */
static void open_late(void)
{
	if (counted.counts || !counted.paths)
		return;
	counted.counts = pk_counts_open(counted.paths);
	pk_counts_begin(counted.counts, (enum pk_counted_verb)counted.verb);
}

void cni_count_end(int code)
{
	open_late();
	cni_count_late(code);
	pk_counts_close(counted.counts);
	counted.counts = NULL;
	counted.paths = NULL;
}

void cni_count_late(int code)
{
	if (counted.counts)
		pk_counts_end(counted.counts, (enum pk_counted_verb)counted.verb, code,
			      pk_now_ns() - counted.since_ns);
}
