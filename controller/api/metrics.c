/* SPDX-License-Identifier: Apache-2.0 */
#include "metrics.h"

#include "own.h"
#include "str.h"

static const struct {
	const char *name, *type, *help;
} metrics[] = {
#define ROW_(sym, name, type, labels, help) { name, #type, help },
	PK_METRICS(ROW_)
};

const char *pk_metric_name(enum pk_metric metric)
{
	return metrics[metric].name;
}

void pk_metric_head(struct pk_str *out, enum pk_metric m)
{
	pk_str_addf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics[m].name, metrics[m].help,
		    metrics[m].name, metrics[m].type);
}

static void add_value(struct pk_str *out, const char *value)
{
	while (*value) {
		size_t n = pk_utf8_len(value);

		if (n == 0)
			pk_str_add(out, "\xef\xbf\xbd");
		else if (*value == '\n')
			pk_str_add(out, "\\n");
		else if (*value == '"' || *value == '\\')
			pk_str_addf(out, "\\%c", *value);
		else
			pk_str_addn(out, value, n);
		value += n ? n : 1;
	}
}

static void add_series(struct pk_str *out, enum pk_metric m, const char *suffix,
		       const struct pk_metric_label *labels)
{
	const char *before = "{";

	pk_str_addf(out, "%s%s", metrics[m].name, suffix);
	for (; labels && labels->name; labels++) {
		pk_str_addf(out, "%s%s=\"", before, labels->name);
		add_value(out, labels->value ?: "");
		pk_str_add(out, "\"");
		before = ",";
	}
	pk_str_add(out, *before == ',' ? "} " : " ");
}

void pk_metric_uint(struct pk_str *out, enum pk_metric m, const char *suffix,
		    const struct pk_metric_label *labels, uint64_t value)
{
	add_series(out, m, suffix, labels);
	pk_str_addf(out, "%llu\n", (unsigned long long)value);
}

void pk_metric_double(struct pk_str *out, enum pk_metric m, const char *suffix,
		      const struct pk_metric_label *labels, double value)
{
	add_series(out, m, suffix, labels);
	pk_str_addf(out, "%.15g\n", value);
}
