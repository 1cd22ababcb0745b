/* SPDX-License-Identifier: Apache-2.0 */
/*
 * picketd.json. What is taken must print as a file that is taken again and prints the same; what
 * is refused has an error with its place.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "controller/conf.h"
#include "own.h"

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_addresses(const struct pk_service *a, const struct pk_service *b)
{
	for (size_t i = 0; b->on && i < PK_SERVICE_ADDRESSES; i++)
		check(strcmp(a->address[i], b->address[i]) == 0);
}

static void check_taken(const struct pk_config *c)
{
	struct pk_config again;
	own_str first = { 0 };
	own_str second = { 0 };
	const char *end;

	pk_config_print(c, &first);
	pk_config_init(&again);
	check(pk_config_parse(&again, "printed", first.text, first.len, NULL) == 0);
	/* Origins differ by design: values alone are compared, through the settings' own writer. */
	pk_settings_json(&c->settings, &second);
	check(!second.failed);
	check(again.settings.capacity == c->settings.capacity);
	check(again.settings.n_pools == c->settings.n_pools);
	check(again.settings.n_reach == c->settings.n_reach);
	check(again.settings.has_nomad == c->settings.has_nomad);
	check(again.consul.on == c->consul.on);
	check(strcmp(again.cluster, c->cluster) == 0);
	check(again.nomad.on == c->nomad.on);
	check_addresses(&again.nomad, &c->nomad);
	check_addresses(&again.consul, &c->consul);
	end = first.text + first.len;
	check(end[-1] == '\n');
	pk_config_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pk_err err = { 0 };
	struct pk_config c;

	pk_config_init(&c);
	strcpy(c.policies_dir, "/etc/picket/policies.d"); /* as pk_config_load leaves it */
	if (pk_config_parse(&c, "input", (const char *)data, size, &err) == 0)
		check_taken(&c);
	else
		check(*err.text != '\0');
	pk_config_done(&c);
	return 0;
}
