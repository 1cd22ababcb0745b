/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A model in the making: its documents, the directory of its facts, endpoints out of records. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs those above first */
#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "controller/documents/docs.h"
#include "controller/model/model.h"
#include "controller/sources/nomad.h"
#include "controller/model/records.h"
#include "own.h"

struct fixture {
	struct pk_settings settings;
	struct pk_docs *docs;
	struct pk_model *model;
	char facts[64];
};

static inline int setup(void **state)
{
	struct fixture *f = pk_alloc(sizeof(*f));
	struct pk_model_args args = { .settings = &f->settings };

	pk_settings_init(&f->settings);
	strcpy(f->facts, "/tmp/pk-model-XXXXXX");
	if (!mkdtemp(f->facts))
		return -1;
	f->docs = pk_docs_new(NULL);
	args.docs = f->docs;
	args.facts = f->facts;
	f->model = pk_model_new(&args);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	own_str command = { 0 };

	pk_model_free(f->model);
	pk_docs_free(f->docs);
	pk_settings_done(&f->settings);
	pk_str_addf(&command, "rm -r %s", f->facts);
	assert_int_equal(system(command.text), 0);
	free(f);
	return 0;
}

static inline union pk_addr addr(const char *text)
{
	union pk_addr a;

	assert_int_equal(pk_addr_parse(text, &a), 0);
	return a;
}

/* A member out of a record, as it comes in life. */
static inline void put_in(struct fixture *f, const char *tenant_name, const char *id, uint32_t slot,
			  const char *job)
{
	static const uint64_t epoch[2] = { 1, 2 };
	struct pk_record_port port = { .proto = IPPROTO_TCP, .host = 24722, .container = 22 };
	char eth0[] = "eth0", web[] = "web";
	struct pk_record r = { .container_id = (char *)id,
			       .ifname = eth0,
			       .slot = slot,
			       .tenant_name = (char *)tenant_name,
			       .job = (char *)job,
			       .group = web,
			       .ports = &port,
			       .n_ports = 1 };

	memcpy(r.epoch, epoch, sizeof(epoch));
	r.ipv4 = addr("10.40.7.10");
	r.ipv4.b[15] = (uint8_t)(10 + slot);
	pk_model_put(f->model, pk_local_endpoint_of_record(&r, epoch));
}

static inline void put(struct fixture *f, const char *id, uint32_t slot, const char *job)
{
	put_in(f, "acme", id, slot, job);
}

static inline void alloc_of(struct pk_alloc *a, const char *id, const char *job)
{
	own_str text = { 0 };

	pk_str_addf(&text,
		    "{\"ID\": \"%s\", \"Namespace\": \"acme\", \"JobID\": \"%s\","
		    " \"TaskGroup\": \"web\", \"Job\": {\"Region\": \"global\","
		    " \"Meta\": {\"tier\": \"web\"}, \"TaskGroups\": [{\"Name\": \"web\"}]}}",
		    id, job);
	assert_int_equal(pk_alloc_decode(text.text, text.len, a, NULL), 0);
}
