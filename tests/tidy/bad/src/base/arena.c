/* A sample that breaks a rule of docs/STYLE.md, for the test of the checker. What must be found in
 * it stands in the file `expected`.
 * It is never compiled. */
void *take(int n) { return malloc(n); }
