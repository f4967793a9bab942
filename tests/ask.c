/* A client for scripts: one request to a server of this machine. Prints the answer's code on the
 * first line, then its body:
 *
 *     ask PORT METHOD PATH [BODY | @FILE]
 *
 * It asks as HTTP/1.0, so that what comes back is the body itself and not its chunks. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char *read_all(FILE *f, size_t *n)
{
    size_t cap = 1 << 16;
    char *p = malloc(cap);
    *n = 0;
    for (size_t got; p && (got = fread(p + *n, 1, cap - *n - 1, f)) > 0; *n += got)
        if (cap - *n - got < 2) p = realloc(p, cap *= 2);
    if (p) p[*n] = '\0';
    return p;
}

static char *body_of(const char *arg, size_t *n)
{
    *n = 0;
    if (!arg) return strdup("");
    if (arg[0] != '@') {
        *n = strlen(arg);
        return strdup(arg);
    }
    FILE *f = fopen(arg + 1, "rb");
    char *p = f ? read_all(f, n) : NULL;
    if (f) fclose(f);
    return p;
}

static FILE *dial(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to)) return NULL;
    return fdopen(fd, "r+b");
}

int main(int argc, char **argv)
{
    size_t n_body, n;
    if (argc < 4) return 2;
    char *body = body_of(argc > 4 ? argv[4] : NULL, &n_body);
    FILE *f = dial(atoi(argv[1]));
    if (!body || !f) {
        perror("ask");
        return 1;
    }
    fprintf(f, "%s %s HTTP/1.0\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n", argv[2], argv[3],
            n_body);
    fwrite(body, 1, n_body, f);
    fflush(f);
    char *reply = read_all(f, &n);
    const char *end = reply ? strstr(reply, "\r\n\r\n") : NULL;
    int code = 0;
    if (!end || sscanf(reply, "HTTP/%*s %d", &code) != 1) {
        fprintf(stderr, "ask: no answer\n");
        return 1;
    }
    printf("%d\n", code);
    fwrite(end + 4, 1, n - (size_t)(end + 4 - reply), stdout);
    fclose(f);
    free(reply);
    free(body);
    return 0;
}
