/* Tests of the line that tells how far a work is: what it says, what it leaves out where a terminal
 * is narrow, and that nothing of a file reaches the terminal as it stands. */
#include "app/progress.h"
#include "test.h"

static void check(const progress_now *now, uint64_t first, double seconds, size_t columns,
                  const char *want)
{
    char line[PROGRESS_MAX];
    size_t n = progress_line(now, first, seconds, columns, line);
    assert_string_equal(line, want);
    assert_int_equal(n, strlen(want));
}

static void it_says_what_fits(void **state)
{
    VG_UNUSED(state);
    progress_now now = {.stage = "quantising", .item = VG_STR("blk.0.ffn_up.weight"),
                        .done = 30000000, .total = 120000000, .unit = " weights"};
    check(&now, 0, 2, 120, "quantising [======>                 ]  25%  0:06 left  "
                           "15.0 M weights/s  blk.0.ffn_up.weight");
    check(&now, 0, 2, 80, "quantising [====>           ]  25%  0:06 left  15.0 M weights/s  "
                          "blk.0.ffn_up");
    check(&now, 0, 2, 40, "quantising [==>     ]  25%  0:06 left");
    check(&now, 0, 2, 20, "quantising  25%");
    check(&now, 0, 2, 10, "qu  25%");
    check(&now, 0, 2, 3, "");
    check(&now, 0, 2, 0, "");
}

static void it_counts_what_the_stage_did(void **state)
{
    VG_UNUSED(state);
    progress_now now = {.stage = "quantising", .done = 60, .total = 100, .unit = "B"};
    check(&now, 50, 100, 60, "quantising [=======>    ]  60%  6:40 left  0.1 B/s");
    check(&now, 60, 100, 60, "quantising [=======>    ]  60%"); /* nothing was done yet */
    check(&now, 70, 100, 60, "quantising [=======>    ]  60%");
    check(&now, 50, 0.5, 60, "quantising [=======>    ]  60%"); /* too early to tell */
    check(&now, 59, 1000, 70, "quantising [========>     ]  60%  11:06:40 left  0.0 B/s");
    now.done = 51;
    now.total = 1000;
    check(&now, 50, 100, 60, "quantising [>           ]   5%  0.0 B/s"); /* too little done */
    now.total = 100;
    now.done = 100;
    check(&now, 50, 100, 60, "quantising [============] 100%  0:00 left  0.5 B/s");
    now.done = 120; /* more than there is */
    check(&now, 50, 100, 60, "quantising [============] 100%  0:00 left  0.7 B/s");
    now = (progress_now){.stage = "waiting", .done = 3000000, .unit = "B"};
    check(&now, 0, 2, 60, "waiting  1.5 MB/s");
    now.done = UINT64_MAX;
    now.total = 1;
    check(&now, 0, 2, 60, "waiting [============] 100%  0:00 left  9223372 TB/s");
}

static void a_file_does_not_drive_the_terminal(void **state)
{
    VG_UNUSED(state);
    char line[PROGRESS_MAX], name[2000];
    memset(name, '\x1b', sizeof name);
    progress_now now = {.stage = "quantising", .item = {name, sizeof name}, .done = 1, .total = 3};
    for (size_t columns = 0; columns < 400; columns++) {
        size_t n = progress_line(&now, 0, 7, columns, line);
        assert_true(n <= columns && n < PROGRESS_MAX && n == strlen(line));
        for (size_t i = 0; i < n; i++) assert_true(line[i] >= ' ' && line[i] <= '~');
    }
    now.stage = name;
    name[sizeof name - 1] = '\0';
    for (size_t columns = 0; columns < 400; columns++)
        assert_true(progress_line(&now, 0, 7, columns, line) < PROGRESS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_says_what_fits),
        cmocka_unit_test(it_counts_what_the_stage_did),
        cmocka_unit_test(a_file_does_not_drive_the_terminal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
