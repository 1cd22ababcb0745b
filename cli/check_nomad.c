/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks that Nomad's client knows the network. A missing or unread conflist shows nowhere else
 * before a job is placed ("missing network"). picketd asks where it runs; else plain HTTP goes to
 * the agent of this node, and no name is resolved.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "addr.h"
#include "check.h"
#include "ctl.h"
#include "ctl_body.h"
#include "fs.h"
#include "out.h"
#include "own.h"
#include "settings.h"

#define NOMAD_SECONDS 3
#define BODY_CAP      (16u << 20)

struct agent {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
	};
	socklen_t len;
	char host[128];
};

static int find_agent(const char *url, struct agent *agent)
{
	const char *at = strncmp(url, "http://", 7) ? NULL : url + 7;
	bool bracket = at && *at == '[';
	char *colon;
	uint64_t port = 80;

	if (!at || (size_t)snprintf(agent->host, sizeof(agent->host), "%s", at + bracket) >=
			   sizeof(agent->host))
		return -EINVAL;
	agent->host[strcspn(agent->host, "/")] = '\0';
	colon = bracket ? strstr(agent->host, "]:") : strchr(agent->host, ':');
	if (colon) {
		if (pk_parse_u64(colon + 1 + bracket, 65535, &port) < 0)
			return -EINVAL;
		*colon = '\0';
	}
	if (!strcmp(agent->host, "localhost"))
		strcpy(agent->host, "127.0.0.1");
	agent->v4 =
		(struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	agent->len = sizeof(agent->v4);
	if (inet_pton(AF_INET, agent->host, &agent->v4.sin_addr) == 1)
		return 0;
	agent->v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6,
					   .sin6_port = htons((uint16_t)port) };
	agent->len = sizeof(agent->v6);
	return inet_pton(AF_INET6, agent->host, &agent->v6.sin6_addr) == 1 ? 0 : -EINVAL;
}

static int send_get(const struct pk_ctl_stream *s, const struct agent *agent, const char *path,
		    struct pk_err *err)
{
	const char *token = getenv("NOMAD_TOKEN");
	own_str text = { 0 };
	int r = pk_ctl_wait(s, POLLOUT, err);

	if (r < 0)
		return r;
	pk_str_addf(&text, "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n", path,
		    agent->host);
	if (token && *token && !strpbrk(token, "\r\n"))
		pk_str_addf(&text, "X-Nomad-Token: %s\r\n", token);
	pk_str_add(&text, "\r\n");
	if (send(s->fd, text.text, text.len, MSG_NOSIGNAL) != (ssize_t)text.len)
		return pk_fail(err, errno, "no agent");
	return 0;
}

/* Asks the agent. Returns 0 and a document, the HTTP status where it isn't 200, or -errno. */
static int get(const struct agent *agent, const char *path, struct pk_json_doc **doc,
	       struct pk_err *err)
{
	PK_OWN(pk_ctl_answer_done) struct pk_ctl_answer answer = { 0 };
	const struct pk_ctl_request q = { .path = path };
	own_fd int fd = socket(agent->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pk_ctl_stream s = { .fd = fd,
				   .deadline_ns = pk_now_ns() + NOMAD_SECONDS * 1000000000ull };
	int r;

	if (fd < 0)
		return pk_fail(err, errno, "socket");
	if (connect(fd, &agent->any, agent->len) < 0 && errno != EINPROGRESS)
		return pk_fail(err, errno, "connect");
	r = send_get(&s, agent, path, err);
	if (r == 0)
		r = pk_ctl_read_head(&s, &answer.status, err);
	if (r == 0)
		r = pk_ctl_read_body(&s, &q, &answer, BODY_CAP, err);
	if (r < 0)
		return r;
	if (answer.status != 200)
		return answer.status;
	return pk_json_parse("nomad", answer.body, answer.len, PK_JSON_RELAXED, doc, err);
}

/* Asks the agent for its own node. */
static int get_node(const struct agent *agent, struct pk_json_doc **node, struct pk_err *err)
{
	own_json *self = NULL;
	char path[128] = "/v1/node/";
	const char *id;
	int r = get(agent, "/v1/agent/self", &self, err);

	if (r)
		return r;
	id = cli_text(pk_json_root(self), "stats.client.node_id");
	if (!*id)
		return pk_fail(err, 0, "the agent is no client");
	if (pk_ctl_encode(path, sizeof(path), id) < 0)
		return pk_fail(err, 0, "the agent's node id is too long");
	return get(agent, path, node, err);
}

static void check_network(struct check *c, const struct pk_json *known,
			  const struct check_network *n)
{
	char mode[160];

	snprintf(mode, sizeof(mode), "cni/%.140s", n->list.name);
	for (const struct pk_json *k = known ? pk_json_first(known) : NULL; k; k = pk_json_next(k))
		if (!strcmp(cli_text(k, "Mode"), mode)) {
			check_line(c, CHECK_OK, "nomad", NULL, "the node has network %s", mode);
			return;
		}
	check_line(c, CHECK_FAIL, "nomad",
		   "send Nomad SIGHUP and wait a minute, or restart it; its cni_config_dir must be "
		   "this one",
		   "Nomad has not yet noticed network %s (%s)", mode, n->path);
}

/* An attribute's name has dots of its own. */
static const char *plugin_version(const struct pk_json *attributes, const char *plugin)
{
	char key[64];
	const char *text;

	snprintf(key, sizeof(key), "plugins.cni.version.%s", plugin);
	text = pk_json_string(pk_json_get(attributes, key));
	return text ? text + (*text == 'v') : NULL;
}

/* Nomad's fingerprint runs every file of its cni_path, and never one that lies elsewhere. */
static void check_seen_plugin(struct check *c, const struct pk_json *attributes)
{
	const char *version = plugin_version(attributes, "picket");
	char fix[PK_PATH_ROOM + 100];

	if (!version) {
		snprintf(fix, sizeof(fix),
			 "ln -s %.400s /opt/cni/bin/picket (or add its directory to the client's "
			 "cni_path), then restart Nomad",
			 *c->plugin ? c->plugin : "/usr/libexec/cni/picket");
		check_line(c, CHECK_FAIL, "nomad", fix,
			   "Nomad found no plugin \"picket\" in its cni_path (node attribute "
			   "plugins.cni.version.picket)");
	} else if (*c->plugin_version && strcmp(version, c->plugin_version) != 0) {
		check_line(c, CHECK_WARN, "version",
			   "restart Nomad, or remove the file that it still finds first in its "
			   "cni_path",
			   "Nomad found the plugin's version %s, %s is %s", version, c->plugin,
			   c->plugin_version);
	}
}

/* Nomad asks CHECK of any network only where a `bridge` plugin of 1.3.0 or later is found. */
static void check_seen_bridge(struct check *c, const struct pk_json *attributes)
{
	const char *version = plugin_version(attributes, "bridge");
	unsigned int major = 0, minor = 0;

	if (version && sscanf(version, "%u.%u", &major, &minor) == 2 &&
	    (major > 1 || (major == 1 && minor >= 3)))
		return;
	check_line(
		c, CHECK_WARN, "nomad",
		"put the reference plugin bridge, 1.3.0 or later, into Nomad's cni_path",
		"Nomad calls CHECK only beside a plugin \"bridge\" of 1.3.0 or later, found %s: an "
		"allocation whose netns is lost runs on without a network",
		version ? version : "none");
}

static void check_agent(struct check *c, const struct pk_json *attributes)
{
	const char *version = pk_json_string(pk_json_get(attributes, "nomad.version"));
	struct pk_settings s = { .has_nomad = true };

	snprintf(s.nomad_version, sizeof(s.nomad_version), "%s", version ? version : "");
	if (pk_settings_args_word(&s) == PK_ARGS_BELIEVED)
		return;
	check_line(c, CHECK_WARN, "nomad", "run Nomad 1.9.4 or later on this node",
		   "Nomad's agent is of %s: it gives plugins no namespace, and each endpoint waits "
		   "in quarantine for its record of the allocation",
		   version ? version : "an unknown version");
}

static bool node_has_nomad(const struct check *c)
{
	struct pk_settings settings;
	bool has = true;

	pk_settings_init(&settings);
	if (pk_settings_read(&settings, c->cli->paths.node_json, NULL) == 0)
		has = settings.has_nomad;
	pk_settings_done(&settings);
	return has;
}

static void check_record(struct check *c, const struct pk_json *node)
{
	const struct pk_json *known = cli_member(node, "NodeResources.Networks");
	const struct pk_json *attributes = pk_json_get(node, "Attributes");

	for (size_t i = 0; i < c->n_networks; i++)
		if (c->networks[i].plugin)
			check_network(c, known, &c->networks[i]);
	check_agent(c, attributes);
	check_seen_plugin(c, attributes);
	check_seen_bridge(c, attributes);
}

/*
 * Asks picketd, which has the certificates and a token. Returns false where it doesn't run, or
 * knows no such question.
 */
static bool ask_picketd(struct check *c)
{
	struct pk_err err = { 0 };
	own_json *node = NULL;
	int r = cli_api(c->cli, "/v1/nomad", &node, &err);

	if (cli_no_daemon(r))
		return false;
	if (r < 0)
		check_line(c, CHECK_WARN, "nomad", *err.fix ? err.fix : NULL, "%s", err.text);
	else
		check_record(c, pk_json_root(node));
	return true;
}

static void ask_agent(struct check *c, const char *url)
{
	struct pk_err err = { 0 };
	own_json *node = NULL;
	struct agent agent;
	int r;

	if (find_agent(url, &agent) < 0) {
		check_line(
			c, CHECK_WARN, "nomad",
			"start picketd, which asks by TLS and by name; or see yourself: nomad node "
			"status -self -json, NodeResources.Networks has cni/picket?",
			"%s: without picketd only plain HTTP to an address is asked", url);
		return;
	}
	r = get_node(&agent, &node, &err);
	if (r > 0)
		check_line(c, CHECK_WARN, "nomad", "give NOMAD_TOKEN with agent:read and node:read",
			   "%s answered %d", url, r);
	else if (r < 0)
		check_line(c, CHECK_WARN, "nomad", "start the agent, or name it: NOMAD_ADDR",
			   "%s: %s", url, err.text);
	else
		check_record(c, pk_json_root(node));
}

/* An agent that NOMAD_ADDR names is asked itself. */
void check_nomad(struct check *c)
{
	const char *url = getenv("NOMAD_ADDR");
	bool named = url && strncmp(url, "http://", 7) == 0;

	if (!node_has_nomad(c)) {
		check_line(c, CHECK_OK, "nomad", NULL, "none on this node (\"nomad\": null)");
		return;
	}
	if (named || !ask_picketd(c))
		ask_agent(c, url && *url ? url : "http://127.0.0.1:4646");
}
