/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picket policy apply|delete: documents into and out of this node's policy directory, whole or not
 * at all.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"
#include "ctl.h"
#include "doc.h"
#include "docsource.h"
#include "docstore.h"
#include "fs.h"
#include "out.h"
#include "own.h"
#include "policy_candidate.h"
#include "policy_consul.h"
#include "policy_release.h"
#include "policy_rollout.h"

#define TAKEN_SECONDS	 3  /* seconds for which a refusal may still be of the text before */
#define ENFORCED_SECONDS 10 /* seconds until tables and disk should have all documents */

/* Finds the directory that the running picketd reads, whatever its file says by now. */
static bool ask_directory(const struct cli *cli, struct pk_str *dir)
{
	own_json *doc = NULL;
	const char *path;

	if (cli_api(cli, "/v1/config", &doc, NULL) < 0)
		return false;
	path = cli_text(pk_json_get(pk_json_get(pk_json_root(doc), "config"), "policies.directory"),
			"value");
	if (!*path)
		return false;
	pk_str_add(dir, path);
	return true;
}

/*
 * Finds the directory: -dir's, else the one that picketd says, else its configuration's, else the
 * one below the root.
 */
static int find_directory(struct cli *cli, struct pk_str *dir, struct pk_err *err)
{
	const char *given = cli_get(cli, "dir");
	own_mem char *said = NULL;

	if (!given && ask_directory(cli, dir))
		return 0;
	if (!given && cli_config_string(cli, "policies", "directory", &said, err) < 0)
		return -EINVAL;
	if (!given)
		given = said ? said : cli->paths.policies_d;
	pk_str_add(dir, given);
	return 0;
}

static int is_policy(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0;
}

/*
 * Returns the name of the document in a file; NULL where there is none that would be taken. The
 * caller frees it.
 */
static char *name_in(const char *path)
{
	const struct pk_doc_source src = { .source = "file", .path = path };
	own_document *doc = NULL;
	own_notes notes = { 0 };
	own_mem char *text = NULL;
	size_t len;

	if (pk_fs_read_own(path, PK_JSON_MAX, &text, &len, NULL) < 0 ||
	    pk_document_parse(&src, text, len, &doc, &notes) < 0)
		return NULL;
	return PK_MOVE(doc->name, NULL);
}

static bool is_named(const char *path, const char *name)
{
	own_mem char *found = name_in(path);

	return found && strcmp(found, name) == 0;
}

/*
 * Finds the file that holds the document of that name, else where it would go: *there says which. A
 * file of that name that holds another document is -EEXIST: it is never overwritten or deleted.
 */
static int find_file(const char *dir, const char *name, struct pk_str *path, bool *there,
		     struct pk_err *err)
{
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, is_policy, alphasort);
	own_mem char *other = NULL;

	*there = false;
	for (int i = 0; i < n; i++) {
		own_str file = { 0 };

		pk_str_addf(&file, "%s/%s", dir, entries[i]->d_name);
		if (!*there && is_named(file.text, name)) {
			pk_str_add(path, file.text);
			*there = true;
		}
		free(entries[i]);
	}
	free(entries);
	if (*there)
		return 0;
	pk_str_addf(path, "%s/%s.json", dir, name);
	*there = access(path->text, F_OK) == 0;
	other = *there ? name_in(path->text) : NULL;
	if (!other)
		return 0;
	return pk_fix(err, pk_fail(err, EEXIST, "%s holds the document \"%s\"", path->text, other),
		      "rename that file to %s.json", other);
}

static int write_one(struct cli *cli, const char *dir, const struct cli_candidate *c)
{
	own_str path = { 0 };
	own_mem char *old = NULL;
	struct pk_doc_source at = { .source = PK_SOURCE_FILE };
	struct pk_err err = { 0 };
	bool there, same;
	size_t len = 0;
	int r = find_file(dir, c->doc->name, &path, &there, &err);

	at.path = path.text;
	if (r < 0 || cli_candidate_keeps_name(c, &at, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	same = there && pk_fs_read_own(path.text, PK_JSON_MAX, &old, &len, NULL) == 0 &&
	       len == c->len && memcmp(old, c->text, len) == 0;
	if (!same && pk_fs_write(path.text, c->text, c->len, 0644, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (same)
		cli_policy_said(cli, c->doc->name, "unchanged", path.text);
	else
		cli_policy_said(cli, c->doc->name, there ? "changed" : "created", path.text);
	return CLI_OK;
}

enum taken {
	TAKEN,	 /* tables and disk have this very text; or nothing of a document that is to go */
	REFUSED, /* picketd refuses the document, this text or one before it */
	NOT_YET,
	UNSTORED, /* the tables are as they should be, the disk isn't */
	NOBODY,	  /* no picketd, or not for us to ask */
};

/* Judges what the disk has: by that the next start goes, and an ADD while picketd is down. */
static enum taken judge_stored(const struct pk_json *root, const char *name, const char *text,
			       struct pk_err *why)
{
	const struct pk_json *stored = pk_json_get(root, "stored");

	if (!stored || pk_json_true(stored))
		return TAKEN;
	if (text)
		pk_fail(why, 0, "%s is in the tables, and not stored: a restart would forget it",
			name);
	else
		pk_fail(why, 0,
			"%s is out of the tables, and stored still: a restart would find it", name);
	pk_fix(why, 0, "picket status says what holds its disk up");
	return UNSTORED;
}

/* Judges what picketd says of the document. text NULL: it is to go. */
static enum taken judge(const struct pk_json *root, const char *name, const char *text,
			struct pk_err *why)
{
	const struct pk_json *errors = pk_json_get(root, "errors");

	*why = (struct pk_err){ 0 };
	if (strcmp(cli_text(root, "state"), "refused") == 0) {
		pk_fail(why, 0, "picketd refuses %s: %s", name,
			errors && pk_json_first(errors) ? cli_text(pk_json_first(errors), "text")
							: "?");
		pk_fix(why, 0, "picket policy list -refused");
		return REFUSED;
	}
	if (!text && strcmp(cli_text(root, "enforced"), "no") == 0)
		return judge_stored(root, name, text, why);
	if (!text)
		pk_fail(why, 0, "%s is deleted, and the tables may have it still: enforced: %s",
			name, cli_text(root, "enforced"));
	else if (strcmp(cli_text(root, "text"), text) != 0)
		pk_fail(why, 0, "picketd has not taken %s yet", name);
	else if (strcmp(cli_text(root, "enforced"), "yes") != 0)
		pk_fail(why, 0, "%s is written, and the tables do not have it: enforced: %s", name,
			cli_text(root, "enforced"));
	else
		return judge_stored(root, name, text, why);
	pk_fix(why, 0, "picket status says what it waits for, picket policy list how far it is");
	return NOT_YET;
}

static enum taken ask_taken(const struct cli *cli, const char *name, const char *text,
			    struct pk_err *why)
{
	char path[64 + 3 * 128] = "/v1/policies/file/";
	own_json *doc = NULL;
	struct pk_err err = { 0 };
	int r;

	if (pk_ctl_encode(path, sizeof(path), name) < 0)
		return NOBODY;
	r = cli_api(cli, path, &doc, &err);
	if (r == -ENODATA && !text)
		return TAKEN;
	if (r == 0)
		return judge(pk_json_root(doc), name, text, why);
	*why = (struct pk_err){ 0 };
	if (!cli_no_daemon(r) && r != -EACCES && r != -EPERM) {
		pk_fail(why, 0, "picketd has not taken %s yet: %s", name, err.text);
		return NOT_YET;
	}
	pk_fail(why, 0, "picketd can't be asked: nothing of it is enforced until it reads %s",
		name);
	pk_fix(why, 0, "start picketd; -dir writes for a node that is to be started later");
	return NOBODY;
}

static bool is_waited_for(enum taken taken, uint64_t since)
{
	const uint64_t waited = pk_now_ns() - since;

	if (taken == REFUSED)
		return waited < TAKEN_SECONDS * 1000000000ull;
	return (taken == NOT_YET || taken == UNSTORED) && waited < ENFORCED_SECONDS * 1000000000ull;
}

static void say_wait(const struct pk_err *why)
{
	own_str text = { 0 };

	pk_str_add_escaped(&text, why->text);
	fprintf(stderr, "%s; waiting for the disk\n", text.text);
}

/* Waits until tables and disk have what was written, or no longer what was deleted. */
static int wait_taken(const struct cli *cli, const char *name, const char *text, uint64_t since)
{
	const struct timespec pause = { .tv_nsec = 20000000 };
	struct pk_err why = { 0 };
	enum taken taken = ask_taken(cli, name, text, &why);
	bool told = cli->quiet;

	while (is_waited_for(taken, since)) {
		if (taken == UNSTORED && !PK_MOVE(told, true))
			say_wait(&why);
		nanosleep(&pause, NULL);
		taken = ask_taken(cli, name, text, &why);
	}
	return taken == TAKEN ? CLI_OK : cli_fail(cli, &why, CLI_NO);
}

static bool is_of_one_store(struct cli *cli)
{
	if (cli_is_shared(cli) && cli_has(cli, "dir")) {
		cli_usage(cli,
			  "-dir is this node's directory; -consul and -nomad name another store");
		return false;
	}
	return cli_consul_is_meant(cli);
}

static int apply(struct cli *cli)
{
	const struct pk_doc_source from = { .source = PK_SOURCE_FILE };
	own_candidates *list = NULL;
	own_str dir = { 0 };
	struct pk_err err = { 0 };
	int r, worst = CLI_OK;
	uint64_t since;

	if (!is_of_one_store(cli))
		return CLI_CANNOT;
	if (cli_is_shared(cli))
		return cli_consul_apply(cli);
	r = cli_candidates(cli, &from, &list);
	if (r != CLI_OK)
		return r;
	if (find_directory(cli, &dir, &err) < 0 || pk_fs_mkdirs(dir.text, 0755, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	for (int i = 0; i < cli->argc; i++) {
		r = write_one(cli, dir.text, &list[i]);
		if (r != CLI_OK)
			return i > 0 ? CLI_PARTLY : r;
	}
	since = pk_now_ns();
	for (int i = 0; i < cli->argc && !cli_has(cli, "dir"); i++) {
		r = wait_taken(cli, list[i].doc->name, list[i].text, since);
		worst = r > worst ? r : worst;
	}
	return worst;
}

static int sync_directory(const char *dir)
{
	own_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Tells a picketd that runs, or one that starts later, that the deletion was no accident. */
static void tell_meant(const struct cli *cli, const char *name)
{
	own_str what = { 0 };
	own_json *doc = NULL;

	pk_str_addf(&what, PK_SOURCE_FILE "/%s", name);
	if (cli_daemon_runs(cli))
		cli_policy_release(cli, what.text, &doc, NULL);
	else
		pk_docstore_remove(cli->paths.policies, PK_SOURCE_FILE, name, NULL);
}

static int delete_file(struct cli *cli)
{
	/* The name may have its source in front, as picket policy list shows it. */
	const char *name = cli->argv[0] + (strncmp(cli->argv[0], "file/", 5) ? 0 : 5);
	own_str dir = { 0 }, path = { 0 };
	struct pk_err err = { 0 };
	bool there;

	if (!*name || *name == '.' || strchr(name, '/'))
		return cli_usage(cli, "\"%s\" is no name of a document of this directory", name);
	if (find_directory(cli, &dir, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (find_file(dir.text, name, &path, &there, &err) < 0)
		return cli_fail(cli, &err, CLI_CANNOT);
	if (!there) {
		pk_fail(&err, 0, "no document \"%s\" in %s", name, dir.text);
		pk_fix(&err, 0, "picket policy list shows all; those of Consul are deleted there");
		return cli_fail(cli, &err, CLI_NO);
	}
	if (unlink(path.text) < 0) {
		pk_fail(&err, errno, "delete %s", path.text);
		return cli_fail(cli, &err, CLI_CANNOT);
	}
	sync_directory(dir.text);
	if (!cli_has(cli, "dir"))
		tell_meant(cli, name);
	cli_policy_said(cli, name, "deleted", path.text);
	return cli_has(cli, "dir") ? CLI_OK : wait_taken(cli, name, NULL, pk_now_ns());
}

static int delete(struct cli *cli)
{
	if (!is_of_one_store(cli))
		return CLI_CANNOT;
	if (cli_is_shared(cli))
		return cli_consul_delete(cli);
	if (cli_has(cli, "history"))
		return cli_usage(cli, "-history is of documents in Consul: say -consul");
	if (cli->argc > 1)
		return cli_usage(cli, "one document at a time goes out of a directory");
	return delete_file(cli);
}

static const struct cli_option options[] = {
	{ "dir", "DIR", "the policy directory (default: as picketd.json says)", 0 },
	CLI_CONSUL,
	CLI_ROLLOUT_WAIT,
	{ 0 },
};
static const struct cli_option delete_options[] = {
	{ "dir", "DIR", "the policy directory (default: as picketd.json says)", 0 },
	{ "history", NULL,
	  "with -consul or -nomad: its history, too, for good, or that of one that is gone", 0 },
	CLI_CONSUL,
	CLI_ROLLOUT_WAIT,
	{ 0 },
};
const struct cli_command cli_policy_apply_commands[] = {
	{ "policy", "apply", "FILE...",
	  "put documents into this node's policy directory and wait until they are in force", 1, -1,
	  options, apply, false },
	{ "policy", "delete", "NAME...",
	  "take a document out of that directory and wait until it is out of force", 1, -1,
	  delete_options, delete, false },
	{ 0 },
};
