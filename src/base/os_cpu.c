/* os_cpu.c: which instruction sets this CPU, and the system that runs on it, can use.
 *
 * The compiler's own detection is asked; it also checks that the system saves the wide registers.
 * The answer names what src/kern compiles: "avx2" stands for AVX2 with F16C, which every CPU with
 * AVX2 has, but a virtual machine may hide, "avx512" for F, BW, DQ, VL and VNNI on top; "i8mm" for
 * the matrix product of bytes and the dot product. It never guesses from a model name. */
#include "base/os.h"

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
#include <cpuid.h>

static bool has_avx2(void)
{
    unsigned a, b, c, d;
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif

const char *const *vg_os_isas(void)
{
    static const char *const plain[] = {"c", NULL};
#if defined(__x86_64__)
    static const char *const avx2[] = {"avx2", "c", NULL};
    static const char *const avx512[] = {"avx512", "avx2", "c", NULL};
    if (!has_avx2()) return plain;
    return has_avx512() ? avx512 : avx2;
#elif defined(__aarch64__)
    /* Advanced SIMD is part of the 64-bit ARM base. */
    static const char *const neon[] = {"neon", "c", NULL};
    VG_UNUSED(plain);
#if defined(__linux__)
    static const char *const dotprod[] = {"dotprod", "neon", "c", NULL};
    static const char *const i8mm[] = {"i8mm", "dotprod", "neon", "c", NULL};
    if (!(getauxval(AT_HWCAP) & HWCAP_ASIMDDP)) return neon;
    return getauxval(AT_HWCAP2) & HWCAP2_I8MM ? i8mm : dotprod;
#else
    return neon;
#endif
#else
    return plain;
#endif
}

void vg_os_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    /* YIELD takes no time on most cores; ISB waits for some tens of cycles, as PAUSE does. */
    __asm__ volatile("isb" ::: "memory");
#endif
}
