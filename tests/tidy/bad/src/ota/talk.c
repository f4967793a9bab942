/* A sample that breaks a rule of docs/STYLE.md, for the test of the checker. What must be found in
 * it stands in the file `expected`.
 * It is never compiled. */
#include "base/base.h"
#include "model/file.h"
#include "model/model.h"
#include "cache/cache.h"
#include "verge.h"

void talk(void)
{
    void *p = malloc(1); /* allowed above the engine */
    printf("x");
    fprintf(stderr, "x");
    snprintf(NULL, 0, "x");
    if (getenv("HOME")) exit(1);
    abort();
}
