/* A sample that breaks a rule of docs/STYLE.md, for the test of the checker. What must be found in
 * it stands in the file `expected`.
 * It is never compiled. */
#include "app/cli.h"
#include "ota/ota.h"
#include "infer/session.h"
#include "infer/infer_int.h"

int main(void)
{
    if (getenv("VERGE_DOCUMENTED")) return 1;
    if (getenv("VERGE_SECRET")) return 1;
    printf("x");
    exit(0);
}
