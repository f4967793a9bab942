/* The kernel's sets of processors: what parses holds no processor that the text cannot name. */
#include "base/topology.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    vg_cpuset s;
    char text[512];
    if (n >= sizeof text) return 0;
    memcpy(text, data, n);
    text[n] = '\0';
    if (vg_cpuset_parse_list(&s, text) && !text[strcspn(text, "0123456789")])
        for (size_t i = 0; i < VG_COUNT(s.bits); i++)
            if (s.bits[i]) abort();
    if (vg_cpuset_parse_mask(&s, text))
        for (uint32_t i = 4 * (uint32_t)n; i < VG_MAX_CPUS; i++)
            if (vg_cpuset_has(&s, i)) abort();
    return 0;
}
