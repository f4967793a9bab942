/* Prints the results of `verge bench` for people: what was measured, how loading and memory went,
 * a table for prompts and one for answers, each row with its share of the limit, then the limits.
 * At most 100 columns wide. */
#include <math.h>
#include <stdio.h>

#include "app/bench.h"
#include "app/cli.h"

void bench_print_limits(const bench_limit_list *l)
{
    char bytes[32];
    if (l->n == 0) return;
    printf("Limits of this machine (%s)\n", l->isa);
    printf("  threads   memory read   int8 multiply-add   fp32 multiply and add\n");
    for (size_t i = 0; i < l->n; i++)
        printf("  %7u   %6.1f GB/s   %11.0f GOP/s   %14.1f GFLOP/s\n", l->at[i].threads,
               l->at[i].read_gbs, l->at[i].int8_gops, l->at[i].fp32_gops);
    printf("  (the best of 5; read: a buffer of %s)\n", cli_bytes(l->buffer_bytes, bytes));
}

static void print_model(const bench *b)
{
    char bytes[32];
    printf("Model    ");
    cli_print_clean(b->name, strlen(b->name));
    printf("\n         ");
    cli_print_clean(b->arch, strlen(b->arch));
    bool small = b->info.n_params < 100000000;
    printf(", %.2f %s weights, %s; %s, %u thread%s, %s cache\n\n",
           (double)b->info.n_params * (small ? 1e-6 : 1e-9), small ? "million" : "billion",
           cli_bytes(b->info.file_bytes, bytes), b->isa, b->threads, b->threads == 1 ? "" : "s",
           cli_kv_word(b->plan.kv));
}

static void print_load(const bench_loads *l)
{
    if (l->cold_asked && l->cold_done)
        printf("Load     cold %.0f ms, first token after %.0f ms\n", l->cold_ms, l->cold_first_ms);
    else if (l->cold_asked)
        printf("Load     cold: not measured; %.0f%% of the file stayed in the system's cache\n",
               100 * l->cached_share);
    if (l->n_warm) {
        printf("Load     warm %.0f ms, first token after %.0f ms", l->warm_ms, l->warm_first_ms);
        if (l->read_ms > 0)
            printf(" (%.2f times reading the file, %.0f ms)", l->warm_first_ms / l->read_ms,
                   l->read_ms);
        printf("\n");
    }
}

static void print_memory(const bench *b)
{
    char peak[32], plan[32], part[4][32];
    const vg_plan *p = &b->plan;
    uint64_t planned = p->total_bytes + CLI_PROGRAM_BYTES;
    printf("Memory   peak %s; planned %s", cli_bytes(b->peak_bytes, peak),
           cli_bytes(planned, plan));
    if (b->peak_bytes)
        printf(" (%.0f%% of it used)", 100 * (double)b->peak_bytes / (double)planned);
    printf("\n         plan: mapped %s, repacked %s, cache %s, scratch %s\n",
           cli_bytes(p->mapped_bytes, part[0]), cli_bytes(p->repacked_bytes, part[1]),
           cli_bytes(p->kv_bytes, part[2]), cli_bytes(p->scratch_bytes, part[3]));
}

static void print_share(const bench_row *r)
{
    if (r->share >= 0) printf("  %3.0f%% of %s", 100 * r->share, r->bound);
    printf("\n");
}

static void print_prefill(const bench *b)
{
    bool any = false;
    for (size_t i = 0; i < b->n_rows; i++) {
        const bench_row *r = &b->row[i];
        if (r->kind != BENCH_PREFILL) continue;
        if (!any)
            printf("\nPrefill  tokens             tokens/s (range)   first token  limit\n");
        any = true;
        printf("         %6u   %8.1f (%.1f to %.1f)", r->tokens, r->speed.median, r->speed.min,
               r->speed.max);
        printf("  %8.0f ms", r->first_ms);
        print_share(r);
    }
}

static void print_decode(const bench *b)
{
    bool any = false;
    for (size_t i = 0; i < b->n_rows; i++) {
        const bench_row *r = &b->row[i];
        if (r->kind != BENCH_DECODE) continue;
        if (!any)
            printf("\nDecode   depth batch  tokens/s (range)         "
                   "ms: p50    p95    p99  limit\n");
        any = true;
        char range[48];
        snprintf(range, sizeof range, "%.1f (%.1f to %.1f)", r->speed.median, r->speed.min,
                 r->speed.max);
        printf("        %6u %5u  %-23s  %6.1f %6.1f %6.1f", r->depth, r->batch, range, r->p50,
               r->p95, r->p99);
        print_share(r);
    }
}

static void print_energy(const bench *b)
{
    if (b->power.n == 0) {
        printf("\nEnergy   not measured: no counter can be read in %s\n", b->opts->power);
        return;
    }
    printf("\nEnergy   J/token:");
    for (size_t i = 0; i < b->n_rows; i++) {
        const bench_row *r = &b->row[i];
        if (r->kind == BENCH_PREFILL) printf(" prefill of %u", r->tokens);
        else printf(" decode at %u by %u", r->depth, r->batch);
        if (r->joules_per_token < 0) printf(" not measured;");
        else printf(" %.3g;", r->joules_per_token);
    }
    printf("\n");
}

void bench_print_text(const bench *b)
{
    print_model(b);
    print_load(&b->load);
    print_memory(b);
    print_prefill(b);
    print_decode(b);
    print_energy(b);
    if (b->limits.n) printf("\n");
    bench_print_limits(&b->limits);
    if (b->cancelled) printf("\nCancelled: what was measured until then.\n");
}
