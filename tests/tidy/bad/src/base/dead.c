/* A sample that breaks a rule of docs/STYLE.md, for the test of the checker. What must be found in
 * it stands in the file `expected`.
 * It is never compiled. */
#if 0
int a(void);
#endif

void comments(void)
{
    /* A sentence may wrap after a call such as f(x), or a formula like y = f(x);
     * that is prose. So is u = sqrt(2 / pi);
     * which nobody would compile. */
    int x = 1; /* of what the caller gave; zero else */
    // x = 2;
    /* if (x > 0) { */
    /* vg_arena_free(a); */
    /* static const char *name = "x"; */
    /*
     * return x;
     * #define X 1
     */
}
