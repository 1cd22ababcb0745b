/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plugin's input: the first byte chooses verb and parser, the rest is CNI_ARGS, standard input,
 * a resolv.conf, or a question for a host tap. A conflist that ADD accepts must be accepted by DEL, and give a result whose
 * indexes are inside its interfaces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cni/args.h"
#include "cni_conf.h"
#include "cni/node.h"
#include "cni/report.h"
#include "cni/result.h"
#include "own.h"
#include "tap_ask.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void fuzz_args(const char *text, unsigned int allowed)
{
	PK_OWN(cni_args_done) struct cni_args args = { 0 };
	struct pk_err err = { 0 };

	if (cni_args_parse(text, "vm-1", allowed, &args, &err) < 0) {
		own_str out = { 0 };

		check(err.code == PK_CODE_ARGS && err.text[0]);
		cni_report(CNI_1_0_0, &err, &out);
		return;
	}
	check(!args.alloc || !strcmp(args.alloc, "vm-1"));
	check(!args.tenant_name || strlen(args.tenant_name) <= 128);
	check(!args.has_mac || allowed & CNI_JOB_MAC);
	check(!args.has_ip || allowed & CNI_JOB_IP);
	check(!args.limits || allowed & CNI_JOB_LIMITS);
}

static void check_result(const struct cni_conf *conf)
{
	struct cni_attachment a = { .container_id = "vm-1",
				    .ifname = "eth0",
				    .netns = "/n",
				    .host_name = "pk1",
				    .tap_name = conf->process ? NULL : "tap0",
				    .prefix4 = 24,
				    .dns = &conf->dns };
	own_str out = { 0 };
	own_json *doc = NULL;
	const struct pk_json *ips;
	int64_t n, at;

	pk_addr_parse("10.0.0.2", &a.ipv4);
	if (cni_result(&a, conf->version, conf->prev_result, &out, NULL) < 0)
		return;
	if (pk_json_parse("result", out.text, out.len, 0, &doc, NULL) < 0)
		return; /* a prevResult of nearly the largest size */
	n = (int64_t)pk_json_count(pk_json_get(pk_json_root(doc), "interfaces"));
	ips = pk_json_get(pk_json_root(doc), "ips");
	for (const struct pk_json *v = pk_json_first(ips); v; v = pk_json_next(v))
		if (pk_json_get(v, "interface"))
			check(pk_json_int(pk_json_get(v, "interface"), 0, n - 1, &at) == 0);
}

static void fuzz_conf(const char *text, size_t len, enum cni_verb verb)
{
	PK_OWN(cni_conf_done) struct cni_conf conf = { 0 };
	PK_OWN(cni_conf_done) struct cni_conf del = { 0 };
	struct pk_err err = { 0 };

	if (cni_conf_parse(text, len, verb, &conf, &err) < 0) {
		own_str out = { 0 };

		check(err.code && err.text[0]);
		cni_report(CNI_1_0_0, &err, &out);
		return;
	}
	check(conf.n_pools <= CNI_POOLS_MAX && conf.root[0] == '/');
	check(cni_conf_parse(text, len, CNI_DEL, &del, &err) == 0);
	if (verb == CNI_ADD)
		check_result(&conf);
}

static void fuzz_resolv_conf(const char *text)
{
	struct cni_conf conf = { 0 };
	own_mem char *copy = strdup(text);

	cni_resolv_conf_parse(copy, &conf.dns);
	check(conf.dns.n_servers <= CNI_DNS_MAX && conf.dns.n_search <= CNI_SEARCH_MAX);
	cni_conf_done(&conf);
}

/* What a stranger may send where taps are handed over. */
static void fuzz_tap_question(const char *text, size_t len)
{
	struct pk_tap_question question = { 0 };
	struct pk_err err = { 0 };

	if (pk_tap_question_read(text, len, &question, &err) < 0)
		check(err.text[0]);
	else
		check(strlen(question.endpoint) < sizeof(question.endpoint));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	own_mem char *text = NULL;

	if (size == 0)
		return 0;
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] & 7) {
	case 0:
		fuzz_args(text, data[0] >> 3);
		break;
	case 1:
		fuzz_tap_question(text, size - 1);
		break;
	case 2:
		fuzz_resolv_conf(text);
		break;
	default:
		fuzz_conf(text, size - 1, (enum cni_verb)((data[0] & 7) - 3));
	}
	return 0;
}
