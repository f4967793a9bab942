/* Tests of the parts of `verge bench` that are sure of their results: percentiles, energy counters,
 * and the SVG writer. */
#include <math.h>
#include <sys/stat.h>

#include "app/bench.h"
#include "app/svg.h"
#include "test_tmp.h"

static void percentiles_are_numbers_that_were_measured(void **state)
{
    VG_UNUSED(state);
    double x[100];
    for (int i = 0; i < 100; i++) x[i] = (i * 37) % 100 + 1; /* 1..100 in another order */
    bench_sort(x, 100);
    assert_true(bench_percentile(x, 100, 0.5) == 50);
    assert_true(bench_percentile(x, 100, 0.95) == 95);
    assert_true(bench_percentile(x, 100, 0.99) == 99);
    assert_true(bench_percentile(x, 100, 0) == 1);
    assert_true(bench_percentile(x, 100, 1) == 100);
    assert_true(bench_percentile(x, 1, 0.99) == 1);
    assert_true(bench_percentile(x, 3, 0.5) == 2);
    assert_true(isnan(bench_percentile(x, 0, 0.5)));
    double y[] = {3, 1, 2};
    bench_spread s = bench_spread_of(y, 3);
    assert_true(s.median == 2 && s.min == 1 && s.max == 3);
}

static void write_text(const char *dir, const char *zone, const char *file, const char *text)
{
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", dir, zone);
    mkdir(path, 0755);
    snprintf(path, sizeof path, "%s/%s/%s", dir, zone, file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void energy_is_that_of_the_packages(void **state)
{
    VG_UNUSED(state);
    test_tmp tmp;
    bench_power p;
    test_tmp_begin(&tmp);
    bench_power_find(&p, tmp.dir);
    bench_energy none = bench_power_read(&p);
    assert_true(p.n == 0 && !none.known);
    assert_true(bench_power_joules(&p, &none, &none) < 0);
    write_text(tmp.dir, "intel-rapl:0", "energy_uj", "9000000\n");
    write_text(tmp.dir, "intel-rapl:0", "max_energy_range_uj", "10000000\n");
    write_text(tmp.dir, "intel-rapl:1", "energy_uj", "5\n");
    write_text(tmp.dir, "intel-rapl:0:0", "energy_uj", "777\n");
    write_text(tmp.dir, "intel-rapl-mmio:0", "energy_uj", "777\n");
    write_text(tmp.dir, "intel-rapl:2", "energy_uj", "not a number\n");
    bench_power_find(&p, tmp.dir);
    assert_int_equal(p.n, 2);
    bench_energy from = bench_power_read(&p);
    write_text(tmp.dir, "intel-rapl:0", "energy_uj", "500000\n"); /* began anew */
    write_text(tmp.dir, "intel-rapl:1", "energy_uj", "1000005\n");
    bench_energy to = bench_power_read(&p);
    assert_true(fabs(bench_power_joules(&p, &from, &to) - 2.5) < 1e-9);
    char command[2048];
    snprintf(command, sizeof command, "rm -r '%s'", tmp.dir);
    assert_int_equal(system(command), 0);
}

static void svg_is_well_formed_whatever_the_text(void **state)
{
    VG_UNUSED(state);
    vg_buf b;
    vg_buf_init(&b, 1 << 16);
    svg_begin(&b, 100, 50);
    svg_line(&b, 0, 0, 1.005, (double)NAN, "#000000", 1);
    svg_text(&b, 1, 2, SVG_MIDDLE, 12, "#000000", "<a & \"b\">\x01\xff\xc3\xa9\xef\xbf\xbf");
    svg_end(&b);
    assert_false(b.failed);
    assert_non_null(strstr(b.data, "&lt;a &amp; \"b\"&gt;??\xc3\xa9?</text>"));
    assert_non_null(strstr(b.data, "x2=\"1.0"));
    assert_null(strstr(b.data, "nan"));
    size_t open = 0, close = 0;
    for (size_t i = 0; i < b.n; i++) {
        open += b.data[i] == '<';
        close += b.data[i] == '>';
    }
    assert_int_equal(open, close);
    vg_buf_clear(&b);
}

static void steps_of_an_axis_are_round(void **state)
{
    VG_UNUSED(state);
    assert_true(fabs(svg_step(31, 6) - 10) < 1e-9);
    assert_true(fabs(svg_step(356, 6) - 100) < 1e-9);
    assert_true(fabs(svg_step(0.011, 6) - 0.002) < 1e-9);
    assert_true(svg_step(0, 6) > 0);
    assert_true(svg_step((double)INFINITY, 6) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_numbers_that_were_measured),
        cmocka_unit_test(energy_is_that_of_the_packages),
        cmocka_unit_test(svg_is_well_formed_whatever_the_text),
        cmocka_unit_test(steps_of_an_axis_are_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
