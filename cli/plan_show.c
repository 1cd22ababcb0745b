/* SPDX-License-Identifier: Apache-2.0 */
#include "plan_show.h"

#include <stdlib.h>
#include <string.h>

#include "out.h"
#include "own.h"
#include "cli_world.h"

#define NAMES_SHOWN 4

static const char *const word[] = { [PK_DENY] = "denied", [PK_ALLOW] = "allowed" };

/* The changes of one pair that go the same way: they stand one behind another in the plan. */
struct group {
	const struct pk_plan_change *at;
	size_t n, cut;
	bool told;
};

/* Groups that differ in one end alone. */
struct line {
	struct group **groups;
	size_t n;
	bool sources; /* the sources differ */
};

static bool same_pair(const struct pk_plan_change *a, const struct pk_plan_change *b)
{
	return a->before == b->before && a->after == b->after && strcmp(a->from, b->from) == 0 &&
	       strcmp(a->to, b->to) == 0;
}

static size_t make_groups(const struct pk_plan *plan, bool single, struct group *groups)
{
	size_t n = 0;

	for (size_t i = 0; i < plan->n; i++) {
		const struct pk_plan_change *c = &plan->changes[i];

		if (!n || single || !same_pair(groups[n - 1].at, c))
			groups[n++] = (struct group){ .at = c };
		groups[n - 1].n++;
		groups[n - 1].cut += c->cut;
	}
	return n;
}

/* Compares what changes, and how; 0: alike. */
static int cmp_changes(const struct group *a, const struct group *b)
{
	int c = (int)a->at->after - (int)b->at->after;

	if (!c)
		c = (a->n > b->n) - (a->n < b->n);
	for (size_t i = 0; i < a->n && !c; i++)
		c = strcmp(a->at[i].what, b->at[i].what);
	return c;
}

static int cmp_same_to(const struct group *a, const struct group *b)
{
	int c = strcmp(a->at->to, b->at->to);

	return c ? c : cmp_changes(a, b);
}

static int cmp_same_from(const struct group *a, const struct group *b)
{
	int c = strcmp(a->at->from, b->at->from);

	return c ? c : cmp_changes(a, b);
}

/* Orders by destination; equal ones stay in the plan's order. */
static int by_to(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
	int c = cmp_same_to(x, y);

	return c ? c : (x > y) - (x < y);
}

static int by_from(const void *a, const void *b)
{
	const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
	int c = cmp_same_from(x, y);

	return c ? c : (x > y) - (x < y);
}

static int by_first(const void *a, const void *b)
{
	const struct line *x = a, *y = b;

	return (x->groups[0] > y->groups[0]) - (x->groups[0] < y->groups[0]);
}

/* Makes a line of each run of sorted groups; one shorter than `least` waits for another order. */
static size_t make_lines(struct group **sorted, size_t n, bool sources, size_t least,
			 struct line *lines)
{
	size_t made = 0, end;

	for (size_t i = 0; i < n; i = end) {
		for (end = i + 1; end < n; end++)
			if (sources ? cmp_same_to(sorted[i], sorted[end])
				    : cmp_same_from(sorted[i], sorted[end]))
				break;
		if (end - i < least)
			continue;
		for (size_t k = i; k < end; k++)
			sorted[k]->told = true;
		lines[made++] =
			(struct line){ .groups = sorted + i, .n = end - i, .sources = sources };
	}
	return made;
}

/* Writes a workload by its path; one endpoint alone gets its allocation too. */
static void add_party(struct pk_str *out, const char *name, size_t n)
{
	const char *space = n > 1 ? strrchr(name, ' ') : NULL;
	own_mem char *path = space ? strndup(name, (size_t)(space - name)) : NULL;

	if (path)
		pk_str_add_escaped(out, path);
	else
		cli_endpoint_name(name, out);
}

/* Writes the names of one end; returns how many endpoints they are. */
static size_t add_end(struct pk_str *out, const struct line *line, bool from)
{
	size_t n = from == line->sources ? line->n : 1, endpoints = 0;

	for (size_t i = 0; i < n; i++) {
		const struct pk_plan_change *c = line->groups[i]->at;
		size_t count = from ? c->n_from : c->n_to;

		endpoints += count;
		/* "and 1 more" would take as much room as the name. */
		if (i >= NAMES_SHOWN && n > NAMES_SHOWN + 1)
			continue;
		pk_str_add(out, i ? ", " : "");
		add_party(out, from ? c->from : c->to, count);
	}
	if (n > NAMES_SHOWN + 1)
		pk_str_addf(out, " and %zu more", n - NAMES_SHOWN);
	return endpoints;
}

static void add_line(const struct cli *cli, const struct line *line, struct pk_str *out)
{
	const struct group *g = line->groups[0];
	bool opens = g->at->after == PK_ALLOW;
	size_t from, to, cut = 0;

	pk_str_addf(out, "%s  %s ", cli_color(cli, opens ? CLI_GREEN : CLI_RED), opens ? "+" : "-");
	from = add_end(out, line, true);
	pk_str_add(out, " -> ");
	to = add_end(out, line, false);
	for (size_t i = 0; i < g->n; i++)
		pk_str_addf(out, "%s%s", i ? ", " : "  ", g->at[i].what);
	pk_str_addf(out, "  %s -> %s%s", word[g->at->before], word[g->at->after],
		    cli_color(cli, CLI_PLAIN));
	if (from > 1 || to > 1)
		pk_str_addf(out, "  (%zu x %zu endpoints)", from, to);
	for (size_t i = 0; i < line->n; i++)
		cut += line->groups[i]->cut;
	if (cut)
		pk_str_addf(out, ", cuts %zu live connection%s", cut, cut == 1 ? "" : "s");
	pk_str_add(out, "\n");
}

void plan_show_changes(const struct cli *cli, const struct pk_plan *plan, struct pk_str *out)
{
	own_mem struct group *groups = pk_alloc((plan->n + 1) * sizeof(*groups));
	size_t n = make_groups(plan, cli->wide, groups), rest = 0, made = 0;
	own_mem struct group **sorted = pk_alloc((n + 1) * sizeof(*sorted));
	own_mem struct group **others = pk_alloc((n + 1) * sizeof(*others));
	own_mem struct line *lines = pk_alloc((n + 1) * sizeof(*lines));

	for (size_t i = 0; i < n; i++)
		sorted[i] = &groups[i];
	if (!cli->wide) {
		qsort(sorted, n, sizeof(struct group *), by_to);
		made = make_lines(sorted, n, true, 2, lines);
	}
	for (size_t i = 0; i < n; i++)
		if (!groups[i].told)
			others[rest++] = &groups[i];
	if (cli->wide) {
		for (size_t i = 0; i < rest; i++)
			lines[made++] = (struct line){ .groups = others + i, .n = 1 };
	} else {
		qsort(others, rest, sizeof(struct group *), by_from);
		made += make_lines(others, rest, false, 1, lines + made);
	}
	qsort(lines, made, sizeof(*lines), by_first);
	for (size_t i = 0; i < made; i++)
		add_line(cli, &lines[i], out);
}
