/* What the system says of this process, for whoever watches it: time, memory, threads and open
 * files. Linux tells all of it in /proc; elsewhere the part that POSIX has is filled in. It reads a
 * few small files each time and keeps nothing. */
#include <dirent.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"

static uint32_t count_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint32_t n = 0;
    if (!d) return 0;
    for (const struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.') n++;
    closedir(d);
    return n ? n - 1 : 0; /* one of them was the folder's own */
}

static double now_s(clockid_t clock)
{
    struct timespec t = {0};
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The fields of /proc/self/stat behind the program's name, which may hold anything (proc(5)):
 * number 20 is the count of threads, 22 the start in ticks after boot, 23 bytes, 24 pages. */
static void read_stat(vg_os_process *out)
{
    char text[2048];
    FILE *f = fopen("/proc/self/stat", "r");
    if (!f) return;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    const char *rest = strrchr(text, ')');
    unsigned long long threads = 0, ticks = 0, bytes = 0, pages = 0;
    if (!rest || sscanf(rest + 1,
                        " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                        "%llu %*d %llu %llu %llu",
                        &threads, &ticks, &bytes, &pages) != 4)
        return;
    long page_bytes = sysconf(_SC_PAGESIZE), per_s = sysconf(_SC_CLK_TCK);
    out->n_threads = (uint32_t)threads;
    out->virtual_bytes = bytes;
    if (page_bytes > 0) out->resident_bytes = pages * (uint64_t)page_bytes;
#ifdef CLOCK_BOOTTIME
    if (per_s > 0)
        out->begin_s = now_s(CLOCK_REALTIME) - now_s(CLOCK_BOOTTIME) +
                       (double)ticks / (double)per_s;
#endif
    VG_UNUSED(per_s);
}

void vg_os_get_process(vg_os_process *out)
{
    struct rusage use;
    struct rlimit limit;
    *out = (vg_os_process){0};
    if (!getrusage(RUSAGE_SELF, &use))
        out->cpu_s = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
                     (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e-6;
    if (!getrlimit(RLIMIT_NOFILE, &limit))
        out->max_fds = (uint32_t)VG_MIN(limit.rlim_cur, (rlim_t)UINT32_MAX);
    out->n_fds = count_fds();
    read_stat(out);
}
