/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks picketd to confirm the open endpoint's claims with Nomad: POST /v1/endpoints (docs/api.md).
 */
#include <errno.h>
#include <string.h>

#include "add.h"
#include "addr.h"
#include "ctl.h"
#include "fs.h"
#include "json.h"
#include "log.h"
#include "own.h"

#define MARGIN_NS  UINT64_C(50000000) /* of the verb's time, kept for printing the answer: 50 ms */
#define ANSWER_MAX 65536

static void write_body(const struct pk_record *rec, struct pk_str *out)
{
	struct pk_jw w = { .out = out };

	pk_jw_open(&w, NULL, '{');
	pk_jw_string(&w, "containerId", rec->container_id);
	pk_jw_string(&w, "ifname", rec->ifname);
	pk_jw_uint(&w, "slot", rec->slot);
	pk_jw_string(&w, "namespace", rec->tenant_name);
	pk_jw_string(&w, "job", rec->job);
	pk_jw_string(&w, "group", rec->group);
	pk_jw_open(&w, "ports", '[');
	for (size_t i = 0; i < rec->n_ports; i++) {
		pk_jw_open(&w, NULL, '{');
		pk_jw_uint(&w, "hostPort", rec->ports[i].host);
		pk_jw_uint(&w, "containerPort", rec->ports[i].container);
		pk_jw_string(&w, "protocol", pk_proto_word(rec->ports[i].proto));
		pk_jw_close(&w, '}');
	}
	pk_jw_close(&w, ']');
	pk_jw_close(&w, '}');
}

static uint64_t until(const struct cni_call *call)
{
	uint64_t wait = pk_now_ns() + call->conf.wait_ms * UINT64_C(1000000);
	uint64_t last = call->deadline_ns > MARGIN_NS ? call->deadline_ns - MARGIN_NS : 0;

	return wait < last ? wait : last;
}

/* Whatever goes wrong (a 404, another version, a time-out), the endpoint stays under its base. */
void cni_add_confirm(const struct cni_add *add)
{
	own_str body = { 0 };
	PK_OWN(pk_ctl_answer_done) struct pk_ctl_answer answer = { 0 };
	struct pk_ctl_request request = { .socket = add->call->paths.socket,
					  .method = "POST",
					  .path = "/v1/endpoints",
					  .cap = ANSWER_MAX };
	struct pk_err err = { 0 };
	int r;

	if (!add->call->conf.wait_ms)
		return;
	write_body(&add->rec, &body);
	request.body = body.text;
	request.deadline_ns = until(add->call);
	r = pk_ctl(&request, &answer, &err);
	if (r == 0 && answer.status == 200 && strstr(answer.body, "\"contradicted\""))
		log_warn("op=add container=%s err=\"Nomad contradicts the claims\" it is what "
			 "Nomad says",
			 add->rec.container_id);
	else if (r < 0 && r != -ENOENT && r != -ECONNREFUSED)
		log_warn("op=add container=%s err=\"%s\" starting under its base",
			 add->rec.container_id, err.text);
}
