/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tells whether this release would take over what another one left on this node. Nothing is
 * changed: files are read, programs are loaded over the pinned tables and let go again.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bpfobj.h"
#include "check_upgrade.h"
#include "docs.h"
#include "epstore.h"
#include "own.h"

struct answer {
	FILE *out;
	bool bad;
};

static void say(struct answer *a, const char *what, int r, const struct pk_err *err,
		const char *good)
{
	own_str line = { 0 };

	if (r < 0)
		a->bad = true;
	pk_str_addf(&line, "%s  %s: ", r < 0 ? "no " : "yes", what);
	pk_str_add_escaped(&line, r < 0 ? err->text : good);
	if (r < 0 && *err->fix) {
		pk_str_add(&line, "; fix: ");
		pk_str_add_escaped(&line, err->fix);
	}
	fprintf(a->out, "%s\n", line.text ?: what);
}

static void check_settings(struct answer *a, const struct pk_config *config)
{
	struct pk_settings settings;
	struct pk_err err = { 0 };
	int r;

	if (access(config->paths.node_json, F_OK) < 0)
		return;
	pk_settings_init(&settings);
	r = pk_settings_read(&settings, config->paths.node_json, &err);
	say(a, "settings", r, &err, "what the last picketd left for the plugin is read");
	pk_settings_done(&settings);
}

static void check_records(struct answer *a, const struct pk_config *config)
{
	own_mem struct pk_record_name *list = NULL;
	struct pk_err err = { 0 };
	char good[64];
	size_t n = 0;
	int r = pk_records_list(&config->paths, &list, &n, &err);

	for (size_t i = 0; r == 0 && i < n; i++) {
		own_record record = { 0 };

		r = pk_record_read(&config->paths, &list[i], &record, &err);
		if (r < 0 && !pk_record_exists(&config->paths, &list[i]))
			r = 0; /* closed meanwhile */
	}
	snprintf(good, sizeof(good), "%zu read", n);
	say(a, "records", r, &err, good);
}

struct unread {
	struct answer *answer;
	size_t n;
};

static void on_unread(void *arg, const struct pk_err *err)
{
	struct unread *u = arg;

	u->n++;
	say(u->answer, "stored policies", -1, err, NULL);
}

static void check_policies(struct answer *a, const struct pk_config *config)
{
	struct pk_docs *docs = pk_docs_new(config->paths.policies);
	struct unread unread = { .answer = a };

	pk_docs_load(docs, on_unread, &unread);
	if (!unread.n)
		say(a, "stored policies", 0, NULL, "all read");
	pk_docs_free(docs);
}

static void check_tables(struct answer *a, const struct pk_config *config)
{
	struct pk_err err = { 0 };
	bool pinned = false;
	int r = pk_bpf_rehearse(&config->paths, &config->settings, &pinned, &err);

	say(a, "tables", r, &err,
	    pinned ? "the programs load over those that are pinned, which the endpoints keep"
		   : "none are pinned; the programs load over new ones");
}

bool pk_check_upgrade(const struct pk_config *config, FILE *out)
{
	struct answer a = { .out = out };

	check_settings(&a, config);
	check_records(&a, config);
	check_policies(&a, config);
	check_tables(&a, config);
	fprintf(out, a.bad ? "This release would not take over as it is. Nothing was changed.\n"
			   : "This release takes over under traffic. Nothing was changed.\n");
	return !a.bad;
}
