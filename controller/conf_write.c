/* SPDX-License-Identifier: Apache-2.0 */
/* Writes the effective configuration, as text and as JSON: see conf.h. */
#include <stdio.h>
#include <string.h>

#include "conf_private.h"
#include "own.h"

static bool section_off(const struct pk_config *c, const char *section)
{
	return (strcmp(section, "nomad") == 0 && !c->nomad.on) ||
	       (strcmp(section, "consul") == 0 && !c->consul.on);
}

static void print_keys(const struct pk_config *c, const char *section, const char *indent,
		       struct pk_str *out)
{
	struct conf_spot spot = { 0 };
	bool first = true;

	while (conf_next(&spot)) {
		own_str value = { 0 };
		struct pk_jw w = { .out = &value };

		if (strcmp(spot.section, section) != 0)
			continue;
		pk_schema_write_member(&spot.key, &w, NULL, c);
		pk_str_addf(out, "%s%s\"%s\": %s  /* %s */", first ? "" : ",\n", indent,
			    spot.key.name, value.text, c->origin[spot.i]);
		first = false;
	}
}

static void print_section(const struct pk_config *c, const char *section, struct pk_str *out)
{
	if (section_off(c, section)) {
		pk_str_addf(out, ",\n  \"%s\": null", section);
		return;
	}
	pk_str_addf(out, ",\n  \"%s\": {\n", section);
	print_keys(c, section, "    ", out);
	pk_str_add(out, "\n  }");
}

void pk_config_print(const struct pk_config *c, struct pk_str *out)
{
	const char *section = "";
	struct conf_spot spot = { 0 };

	pk_str_add(out, "{\n");
	print_keys(c, "", "  ", out);
	while (conf_next(&spot)) {
		if (*spot.section && strcmp(spot.section, section) != 0)
			print_section(c, spot.section, out);
		section = spot.section;
	}
	pk_str_add(out, "\n}\n");
}

void pk_config_write(const struct pk_config *c, struct pk_jw *w)
{
	struct conf_spot spot = { 0 };

	while (conf_next(&spot)) {
		char name[64];

		snprintf(name, sizeof(name), "%s%s%s", spot.section, *spot.section ? "." : "",
			 spot.key.name);
		pk_jw_open(w, name, '{');
		if (section_off(c, spot.section))
			pk_jw_null(w, "value");
		else
			pk_schema_write_member(&spot.key, w, "value", c);
		pk_jw_string(w, "origin", c->origin[spot.i]);
		pk_jw_close(w, '}');
	}
}

/* Off because nobody says otherwise isn't the same as off because a file says so. */
static void service_text(const struct pk_service *s, struct pk_jw *w)
{
	pk_jw_bool(w, NULL, s->said);
	pk_jw_string(w, NULL, s->token);
}

static void section_text(const struct pk_config *c, const char *section, struct pk_str *out)
{
	struct pk_jw w = { .out = out };
	struct conf_spot spot = { 0 };

	pk_jw_open(&w, NULL, '[');
	pk_jw_bool(&w, NULL, section_off(c, section));
	while (conf_next(&spot))
		if (strcmp(spot.section, section) == 0)
			pk_schema_write_member(&spot.key, &w, NULL, c);
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
