/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Consul's keys and the places that they belong to: all or nothing, and never another's namespace.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controller/consul.h"
#include "controller/consul_watch.h"
#include "own.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_key(const struct pk_kv *kv)
{
	struct pk_kv_place place;

	check(kv->key && kv->value && kv->value[kv->len] == '\0');
	if (!pk_kv_place(kv->key, "p/", &place))
		return;
	if (!place.tenant_name) {
		check(strcmp(place.source, "consul/operator") == 0);
		return;
	}
	/* The namespace is exactly what stands between the second and the third slash. */
	check(strncmp(kv->key, "p/tenants/", 10) == 0);
	check(strncmp(kv->key + 10, place.tenant_name, strlen(place.tenant_name)) == 0);
	check(kv->key[10 + strlen(place.tenant_name)] == '/' && !strchr(place.tenant_name, '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pk_err err = { 0 };
	struct pk_kvs kvs;

	if (pk_kvs_decode((const char *)data, size, &kvs, &err) == 0) {
		for (size_t i = 0; i < kvs.n; i++)
			check_key(&kvs.list[i]);
		pk_kvs_done(&kvs);
	} else {
		check(kvs.n == 0 && *err.text != '\0');
	}
	return 0;
}
