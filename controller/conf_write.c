/* SPDX-License-Identifier: Apache-2.0 */
/* The effective configuration, as text and as JSON: see conf.h. */
#include <stdio.h>
#include <string.h>

#include "conf_private.h"
#include "own.h"

static void write_setting(const struct pk_config *c, const struct conf_key *k, const char *name,
			  struct pk_jw *w)
{
	const struct pk_settings *s = &c->settings;
	char ports[16];

	/* The list writers name their own member: a list is written under its key's own name. */
	if (strcmp(k->name, "baseline") == 0)
		pk_jw_string(w, name, pk_baseline_name(s->baseline));
	else if (strcmp(k->name, "healthChecks") == 0)
		pk_jw_bool(w, name, s->health_checks);
	else if (strcmp(k->name, "endpoints") == 0)
		pk_jw_uint(w, name, s->capacity);
	else if (strcmp(k->name, "flowsPerEndpoint") == 0)
		pk_jw_uint(w, name, s->flow_budget);
	else if (strcmp(k->name, "newFlowsPerSecond") == 0)
		pk_jw_uint(w, name, s->new_flows_per_s);
	else if (strcmp(k->name, "pools") == 0)
		pk_settings_write_pools(s, w, name);
	else if (strcmp(k->name, "ipv4") == 0)
		pk_jw_bool(w, name, s->masquerade.ipv4);
	else if (strcmp(k->name, "ipv6") == 0)
		pk_jw_bool(w, name, s->masquerade.ipv6);
	else if (strcmp(k->name, "ports") == 0)
		pk_jw_string(w, name, pk_masquerade_ports(&s->masquerade, ports));
	else if (strcmp(k->name, "uplinks") == 0 && !s->uplinks.n)
		pk_jw_null(w, name);
	else if (strcmp(k->name, "uplinks") == 0)
		pk_settings_write_uplinks(s, w, name);
	else if (strcmp(k->name, "resolvers") == 0)
		pk_settings_write_resolvers(s, w, name);
	else
		pk_settings_write_reach(s, w, name);
}

/* One is a text, several are a list. */
static void write_addresses(char addresses[PK_CONFIG_ADDRESSES][PK_CONFIG_NAME], const char *name,
			    struct pk_jw *w)
{
	if (!*addresses[1]) {
		pk_jw_string(w, name, addresses[0]);
		return;
	}
	pk_jw_open(w, name, '[');
	for (size_t i = 0; i < PK_CONFIG_ADDRESSES && *addresses[i]; i++)
		pk_jw_string(w, NULL, addresses[i]);
	pk_jw_close(w, ']');
}

static void write_value(const struct pk_config *c, const struct conf_key *k, const char *name,
			struct pk_jw *w)
{
	const char *from = (const char *)c + k->offset;

	switch (k->kind) {
	case TEXT:
	case PATH:
	case KEY_PATH:
	case LISTEN:
	case CHOICE:
		pk_jw_string(w, name, *from || !k->null_ok ? from : NULL);
		break;
	case ADDRESS:
		write_addresses((char(*)[PK_CONFIG_NAME])from, name, w);
		break;
	case BOOL:
		pk_jw_bool(w, name, *(const bool *)(const void *)from);
		break;
	case INT:
		pk_jw_int(w, name, *(const int64_t *)(const void *)from);
		break;
	case TIMEOUT:
		pk_jw_uint(w, name, *(const uint32_t *)(const void *)from);
		break;
	case SIZE:
		pk_jw_uint(w, name, *(const uint64_t *)(const void *)from);
		break;
	case NOT_BUILT:
		pk_jw_null(w, name);
		break;
	case SETTING:
		write_setting(c, k, name, w);
		break;
	}
}

static bool section_off(const struct pk_config *c, const char *section)
{
	return (strcmp(section, "nomad") == 0 && !c->nomad.on) ||
	       (strcmp(section, "consul") == 0 && !c->consul.on);
}

static void print_keys(const struct pk_config *c, const char *section, const char *indent,
		       struct pk_str *out)
{
	bool first = true;

	for (size_t i = 0; i < conf_n_keys; i++) {
		own_str value = { 0 };
		struct pk_jw w = { .out = &value };

		if (strcmp(conf_keys[i].section, section) != 0)
			continue;
		write_value(c, &conf_keys[i], NULL, &w);
		pk_str_addf(out, "%s%s\"%s\": %s  /* %s */", first ? "" : ",\n", indent,
			    conf_keys[i].name, value.text ?: "null", c->origin[i]);
		first = false;
	}
}

void pk_config_print(const struct pk_config *c, struct pk_str *out)
{
	pk_str_add(out, "{\n");
	print_keys(c, "", "  ", out);
	for (size_t s = 0; s < conf_n_sections; s++) {
		if (section_off(c, conf_sections[s])) {
			pk_str_addf(out, ",\n  \"%s\": null", conf_sections[s]);
			continue;
		}
		pk_str_addf(out, ",\n  \"%s\": {\n", conf_sections[s]);
		print_keys(c, conf_sections[s], "    ", out);
		pk_str_add(out, "\n  }");
	}
	pk_str_add(out, "\n}\n");
}

void pk_config_write(const struct pk_config *c, struct pk_jw *w)
{
	for (size_t i = 0; i < conf_n_keys; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s%s%s", conf_keys[i].section,
			 *conf_keys[i].section ? "." : "", conf_keys[i].name);
		pk_jw_open(w, name, '{');
		if (section_off(c, conf_keys[i].section))
			pk_jw_null(w, "value");
		else
			write_value(c, &conf_keys[i], "value", w);
		pk_jw_string(w, "origin", c->origin[i]);
		pk_jw_close(w, '}');
	}
}

/* Off since nobody says otherwise is no word; off since a file says so is one. */
static void service_text(const struct pk_config_service *s, struct pk_jw *w)
{
	pk_jw_bool(w, NULL, s->said);
	pk_jw_string(w, NULL, s->token);
}

static void section_text(const struct pk_config *c, const char *section, struct pk_str *out)
{
	struct pk_jw w = { .out = out };

	pk_jw_open(&w, NULL, '[');
	pk_jw_bool(&w, NULL, section_off(c, section));
	for (size_t i = 0; i < conf_n_keys; i++)
		if (strcmp(conf_keys[i].section, section) == 0)
			write_value(c, &conf_keys[i], NULL, &w);
	if (strcmp(section, "nomad") == 0)
		service_text(&c->nomad, &w);
	if (strcmp(section, "consul") == 0)
		service_text(&c->consul, &w);
	pk_jw_close(&w, ']');
}

bool pk_config_same(const struct pk_config *a, const struct pk_config *b, const char *section)
{
	own_str x = { 0 }, y = { 0 };

	section_text(a, section, &x);
	section_text(b, section, &y);
	return x.text && y.text && strcmp(x.text, y.text) == 0;
}

void pk_config_keys(struct pk_str *out)
{
	for (size_t i = 0; i < conf_n_keys; i++)
		pk_str_addf(out, "%s%s%s\n", conf_keys[i].section, *conf_keys[i].section ? "." : "",
			    conf_keys[i].name);
}
