/* A sample that breaks a rule of docs/STYLE.md, for the test of the checker. What must be found in
 * it stands in the file `expected`.
 * It is never compiled. */
#pragma GCC optimize("O3")
static const int x __attribute__((unused)) = 1;
int f(int a)
{
    __asm__("nop");
    typeof(a) b = ({ a; });
    return __builtin_popcount(b);
}
