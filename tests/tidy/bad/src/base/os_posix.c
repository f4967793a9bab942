/* A sample that breaks a rule of docs/STYLE.md, for the test of the checker. What must be found in
 * it stands in the file `expected`.
 * It is never compiled. */
static int may_change;
static __thread int may_extend __attribute__((unused));
#if defined(__x86_64__)
#endif
