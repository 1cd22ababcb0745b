/* SPDX-License-Identifier: Apache-2.0 */
/* picketd: options, signals, wiring. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check_upgrade.h"
#include "cni_conf.h"
#include "daemon.h"
#include "fs.h"
#include "log.h"
#include "logger.h"
#include "own.h"
#include "str.h"
#include "systemd.h"

static const char usage[] =
	"Usage: picketd [options]\n\n"
	"  -config FILE|DIR        configuration (default /etc/picket/picketd.json below\n"
	"                          the root; may be absent)\n"
	"  -root DIR               prefix of state, pins, socket and configuration\n"
	"  -print-config           print the effective configuration, each value with its\n"
	"                          origin, and end\n"
	"  -print-schema           print the JSON Schema of picketd.json, and end\n"
	"  -print-conflist-schema  print the JSON Schema of the conflist, and end\n"
	"  -check-upgrade          say whether this release would take over this node's\n"
	"                          tables and state, change nothing, and end: 0 it would,\n"
	"                          1 it would not\n"
	"  -accept-missing-config  a configuration file that the last run had and that is\n"
	"                          gone was removed on purpose: without this picketd\n"
	"                          does not start then\n"
	"  -log-level LEVEL        error | warn | info | debug (default info)\n"
	"  -version                print the version, and end\n\n"
	"SIGHUP reads the configuration again, whole or not at all. SIGTERM and SIGINT\n"
	"end the controller; the fence stays.\n";

struct options {
	struct pk_config_args args;
	bool print, check_upgrade;
	enum pk_level level;
};

static const char *from_env(const char *name)
{
	return getenv(name);
}

static int level_of(const char *name, enum pk_level *out)
{
	static const struct {
		const char *name;
		enum pk_level level;
	} levels[] = { { "error", PK_LOG_ERROR },
		       { "warn", PK_LOG_WARN },
		       { "info", PK_LOG_INFO },
		       { "debug", PK_LOG_DEBUG } };

	for (size_t i = 0; i < PK_ARRAY_LEN(levels); i++)
		if (name && strcmp(name, levels[i].name) == 0) {
			*out = levels[i].level;
			return 0;
		}
	return -1;
}

/*
 * Returns the value of "-name VALUE" or "-name=VALUE", one dash or two; NULL if it isn't this
 * option.
 */
static const char *value_of(char **argv, int *i, const char *name)
{
	const char *arg = argv[*i] + 1 + (argv[*i][1] == '-');
	size_t n = strlen(name);

	if (strncmp(arg, name, n) != 0 || (arg[n] && arg[n] != '='))
		return NULL;
	if (arg[n] == '=')
		return arg + n + 1;
	return argv[*i + 1] ? argv[++*i] : "";
}

static bool is_flag(const char *arg, const char *name)
{
	return arg[0] == '-' && strcmp(arg + 1 + (arg[1] == '-'), name) == 0;
}

static bool is_switch(struct options *o, const char *arg)
{
	const struct {
		const char *name;
		bool *on;
	} switches[] = { { "print-config", &o->print },
			 { "check-upgrade", &o->check_upgrade },
			 { "accept-missing-config", &o->args.accept_missing } };

	for (size_t i = 0; i < PK_ARRAY_LEN(switches); i++)
		if (is_flag(arg, switches[i].name)) {
			*switches[i].on = true;
			return true;
		}
	return false;
}

static int print_schema(void (*schema)(struct pk_str *out))
{
	own_str text = { 0 };

	schema(&text);
	fputs(text.text, stdout);
	return 0;
}

/* Takes an option that has a value, and sets *value; false: it is none, or its value is no good. */
static bool take_value(struct options *o, char **argv, int *i, const char **value)
{
	if (argv[*i][0] != '-')
		return false;
	if ((*value = value_of(argv, i, "config")))
		o->args.path = *value;
	else if ((*value = value_of(argv, i, "root")))
		o->args.root = *value;
	else if ((*value = value_of(argv, i, "log-level")))
		return level_of(*value, &o->level) == 0;
	return *value && **value;
}

/* Says what is wrong with a word of the command line; value is what stood for it, or NULL. */
static int refuse(const char *word, const char *value)
{
	static const char *const names[] = { "config",
					     "root",
					     "log-level",
					     "print-config",
					     "print-schema",
					     "print-conflist-schema",
					     "check-upgrade",
					     "accept-missing-config",
					     "version",
					     "help",
					     NULL };
	const char *near = word[0] == '-' ? pk_nearest(word + 1 + (word[1] == '-'), names) : NULL;

	if (value && *value)
		fprintf(stderr, "picketd: \"%s\" is none of error, warn, info, debug\n", value);
	else if (value)
		fprintf(stderr, "picketd: %s needs a value\n", word);
	else if (near)
		fprintf(stderr, "picketd: unknown option \"%s\", did you mean \"-%s\"?\n", word,
			near);
	else
		fprintf(stderr, "picketd: unknown %s \"%s\"\n",
			word[0] == '-' ? "option" : "argument", word);
	fprintf(stderr, "fix: %s\n", "picketd -help");
	return 2;
}

/* Returns -1 to go on, else the exit status. */
static int parse(struct options *o, char **argv)
{
	for (int i = 1; argv[i]; i++) {
		const char *word = argv[i], *v = NULL;

		if (is_flag(argv[i], "help") || is_flag(argv[i], "h")) {
			fputs(usage, stdout);
			return 0;
		}
		if (is_flag(argv[i], "version")) {
			puts("picketd " PK_VERSION);
			return 0;
		}
		if (is_switch(o, argv[i]))
			continue;
		if (is_flag(argv[i], "print-schema"))
			return print_schema(pk_config_schema);
		if (is_flag(argv[i], "print-conflist-schema"))
			return print_schema(cni_conf_schema);
		if (!take_value(o, argv, &i, &v))
			return refuse(word, v);
	}
	return -1;
}

static int fatal(const struct pk_err *err)
{
	fprintf(stderr, "picketd: %s%s%s\n", err->text, *err->fix ? "; fix: " : "", err->fix);
	return 1;
}

static int print_config(const struct options *o)
{
	struct pk_config config;
	struct pk_err err = { 0 };
	own_str text = { 0 };

	if (pk_config_effective(&config, &o->args, &err) < 0)
		return fatal(&err);
	pk_config_print(&config, &text);
	fputs(text.text, stdout);
	pk_config_done(&config);
	return 0;
}

static int check_upgrade(const struct options *o)
{
	struct pk_config config;
	struct pk_err err = { 0 };
	bool good;

	if (pk_config_effective(&config, &o->args, &err) < 0)
		return fatal(&err);
	good = pk_check_upgrade(&config, stdout);
	pk_config_done(&config);
	return good ? 0 : 1;
}

static void on_hup(void *arg)
{
	pk_systemd_reloading();
	pk_daemon_reload(arg, NULL); /* what is wrong is logged and in status */
	pk_systemd_say("READY=1");
}

static void on_end(void *arg)
{
	struct pk_daemon *d = arg;

	pk_loop_stop(d->parts.loop);
}

#define READY_MS   5000 /* a start counts as ready then, whoever hasn't answered */
#define READY_STEP 50
#define LOG_NS	   1000000000

struct start {
	struct pk_daemon *daemon;
	struct pk_timer *timer;
	uint64_t since_ms;
};

static void on_starting(void *arg)
{
	struct start *start = arg;
	bool ready = pk_daemon_is_ready(start->daemon);

	if (!ready && pk_loop_now(start->daemon->parts.loop) - start->since_ms < READY_MS) {
		pk_timer_set(start->timer, READY_STEP);
		return;
	}
	if (!ready)
		log_warn("op=ready err=\"a source has not answered yet\" what was stored is in "
			 "force");
	pk_systemd_say("READY=1");
}

static int run(const struct options *o)
{
	struct start start = { .daemon = NULL };
	static struct pk_daemon daemon;
	struct pk_watch *watches[3];
	struct pk_systemd *systemd;
	struct pk_err err = { 0 };

	signal(SIGPIPE, SIG_IGN);
	pk_logger_start();
	if (pk_daemon_start(&daemon, &o->args, &err) < 0) {
		pk_daemon_stop(&daemon);
		pk_logger_stop(pk_now_ns() + LOG_NS);
		return fatal(&err);
	}
	watches[0] = pk_watch_signal(daemon.parts.loop, SIGHUP, on_hup, &daemon);
	watches[1] = pk_watch_signal(daemon.parts.loop, SIGTERM, on_end, &daemon);
	watches[2] = pk_watch_signal(daemon.parts.loop, SIGINT, on_end, &daemon);
	log_info("op=start version=" PK_VERSION " root=\"%s\" endpoints=%zu",
		 *daemon.config.paths.root ? daemon.config.paths.root : "/",
		 pk_model_count(daemon.parts.model));
	start.daemon = &daemon;
	start.since_ms = pk_loop_now(daemon.parts.loop);
	start.timer = pk_timer_new(daemon.parts.loop, on_starting, &start);
	pk_timer_set(start.timer, 0);
	systemd = pk_systemd_new(&daemon.parts);
	pk_loop_run(daemon.parts.loop);
	pk_systemd_free(systemd);
	pk_timer_free(start.timer);
	pk_systemd_say("STOPPING=1");
	for (size_t i = 0; i < PK_ARRAY_LEN(watches); i++)
		pk_watch_free(watches[i]);
	pk_daemon_stop(&daemon);
	log_info("op=stop");
	pk_logger_stop(pk_now_ns() + LOG_NS);
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { .args = { .env = from_env }, .level = PK_LOG_INFO };
	int r;

	(void)argc;
	r = parse(&o, argv);
	if (r >= 0)
		return r;
	pk_log_init("picketd", o.level);
	if (o.print)
		return print_config(&o);
	return o.check_upgrade ? check_upgrade(&o) : run(&o);
}
