/* replay FOLDER: calls the fuzz target with each file of a corpus, so that what a fuzzer once found
 * interesting is tried in every test run. A missing or empty folder fails: a test without cases
 * would pass for ever. */
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "fuzz.h"

static int replay(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct stat st;
    if (!f || fstat(fileno(f), &st)) {
        perror(path);
        return 1;
    }
    size_t n = (size_t)st.st_size;
    uint8_t *data = malloc(n ? n : 1); /* of the exact size: a sanitizer sees a read past the end */
    bool ok = data && fread(data, 1, n, f) == n;
    fclose(f);
    if (ok) LLVMFuzzerTestOneInput(data, n);
    free(data);
    return ok ? 0 : 1;
}

int main(int argc, char **argv)
{
    DIR *folder = argc == 2 ? opendir(argv[1]) : NULL;
    if (!folder) {
        fprintf(stderr, "replay: no folder %s\n", argc == 2 ? argv[1] : "given");
        return 2;
    }
    int n = 0, failed = 0;
    for (struct dirent *e; (e = readdir(folder));) {
        char path[4096];
        if (e->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        failed |= replay(path);
        n++;
    }
    closedir(folder);
    printf("%d inputs\n", n);
    return failed || n == 0;
}
