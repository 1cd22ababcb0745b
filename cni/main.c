/* SPDX-License-Identifier: Apache-2.0 */
/* picket-cni: environment and standard input -> one verb -> one answer on standard output. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "declared.h"
#include "fs.h"
#include "log.h"
#include "own.h"
#include "report.h"
#include "verb.h"

static const char *get(const char *name)
{
	return getenv(name);
}

/* Nomad runs every plugin without CNI_COMMAND and takes the first token that is a version. */
static int fingerprint(void)
{
	puts("CNI picket plugin v" PK_VERSION);
	puts("CNI protocol versions supported: 0.3.1 0.4.0 1.0.0 1.1.0");
	return fflush(stdout) ? 1 : 0;
}

static int say(const struct pk_str *out)
{
	const char *p = out->text;
	size_t left = out->len;

	while (left > 0) {
		ssize_t n = write(STDOUT_FILENO, p, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return 1;
		p += n;
		left -= (size_t)n;
	}
	return 0;
}

static int complain(enum cni_version version, const struct pk_err *err)
{
	own_str out = { 0 };

	log_error("op=%s code=%d err=\"%s\" fix=\"%s\"", get("CNI_COMMAND"), err->code, err->text,
		  err->fix);
	cni_report(version, err, &out);
	say(&out);
	return 1;
}

static int run(struct cni_call *call, struct pk_str *out, struct pk_err *err)
{
	switch (call->env.verb) {
	case CNI_ADD:
		return cni_verb_add(call, out, err);
	case CNI_DEL:
		return cni_verb_del(call, out, err);
	case CNI_CHECK:
		return cni_verb_check(call, out, err);
	case CNI_GC:
		return cni_verb_gc(call, out, err);
	case CNI_STATUS:
		return cni_verb_status(call, out, err);
	case CNI_VERSION:
		cni_report_versions(out);
		return 0;
	}
	return pk_fail(err, EINVAL, "verb");
}

static int read_stdin(char **text, size_t *len, struct pk_err *err)
{
	int r = pk_fs_read_fd(STDIN_FILENO, CNI_STDIN_MAX, text, len, err);

	if (r == -EFBIG) {
		pk_fail(err, 0, "the network configuration on standard input is larger than 1 MiB");
		return pk_code(err, r, PK_CODE_DECODE);
	}
	if (r < 0)
		return pk_code(err, pk_wrap(err, r, "standard input"), PK_CODE_IO);
	return 0;
}

static int prepare(struct cni_call *call, const char *declared, struct pk_err *err)
{
	own_mem char *text = NULL;
	size_t len = 0;
	int r = cni_env_read(get, &call->env, err);

	if (r < 0 || call->env.verb == CNI_VERSION)
		return r;
	call->env.declared = declared;
	cni_deadline_start(call, cni_deadline_default(call->env.verb));
	r = read_stdin(&text, &len, err);
	if (r == 0)
		r = cni_conf_parse(text, len, call->env.verb, &call->conf, err);
	if (r < 0)
		return r;
	pk_log_init("picket-cni", (enum pk_level)call->conf.log_level);
	r = pk_paths_init(&call->paths, call->conf.root, err);
	return pk_code(err, r, PK_CODE_CONFIG);
}

/* Opens those of 0 to 2 that a runtime has closed, so that no file of ours takes their places. */
static void hold_standard_files(void)
{
	int fd = open("/dev/null", O_RDWR);

	while (fd >= 0 && fd <= STDERR_FILENO)
		fd = open("/dev/null", O_RDWR);
	if (fd > STDERR_FILENO)
		close(fd);
}

static int serve(const char *declared)
{
	struct cni_call call = { .conf = { .version = CNI_1_0_0 } };
	own_str out = { 0 };
	struct pk_err err = { 0 };
	uint64_t since_ns = pk_now_ns();
	int r = prepare(&call, declared, &err);

	if (r == 0 && call.env.verb != CNI_VERSION) {
		cni_count_begin(&call, since_ns);
		cni_deadline_start(&call, call.conf.deadline_ms);
	}
	if (r == 0)
		r = run(&call, &out, &err);
	cni_deadline_end();
	cni_count_end(r < 0 ? cni_report_code(&err) : -1);
	if (r < 0)
		r = complain(call.conf.version, &err);
	else
		r = say(&out);
	cni_conf_done(&call.conf);
	return r;
}

/*
 * `picket attach` alone gives the plugin arguments: a CNI runtime has none for it, and so neither
 * has the author of a job.
 */
static const char *declared_by(int argc, char **argv)
{
	return argc == 3 && !strcmp(argv[1], CNI_DECLARED) ? argv[2] : NULL;
}

int main(int argc, char **argv)
{
	hold_standard_files();
	umask(022);
	signal(SIGPIPE, SIG_IGN);
	setenv("TZ", "UTC0", 1); /* the log's times are UTC; no zone file is read */
	pk_log_init("picket-cni", PK_LOG_WARN);
#ifdef PK_FAULTS
	if (argc == 2 && !strcmp(argv[1], "--list-faults")) {
		cni_list_faults();
		return 0;
	}
#endif
	if (!getenv("CNI_COMMAND"))
		return fingerprint();
	return serve(declared_by(argc, argv));
}
