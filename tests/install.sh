#!/bin/sh
# Installs into an empty folder, builds a program against what lies there, by pkg-config alone, in C
# and in C++, and runs it:
#
#     install.sh BUILD_FOLDER CC
#
# Exit status 77, which Meson counts as skipped, where the program could not be linked anyway.
set -eu
build=$1
cc=$2
command -v pkg-config >/dev/null || { echo "skipped: no pkg-config"; exit 77; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
DESTDIR=$tmp meson install -C "$build" --no-rebuild >"$tmp/log" || { cat "$tmp/log"; exit 1; }

pc=$(find "$tmp" -name verge.pc)
[ -n "$pc" ] || { echo "no verge.pc was installed"; exit 1; }
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$tmp"
cat >"$tmp/program.c" <<'END'
#include <stdio.h>
#include <string.h>
#include <verge.h>

int main(void)
{
    vg_err err;
    vg_model *m = NULL;
    vg_status st = vg_model_open(&m, "/nonexistent.gguf", NULL, &err);
    printf("%s: %s\n", vg_status_name(st), err.msg);
    return st == VG_E_NOT_FOUND && strlen(vg_version()) > 0 ? 0 : 1;
}
END
# shellcheck disable=SC2046
$cc -std=c17 -o "$tmp/program" "$tmp/program.c" $(pkg-config --cflags --libs verge)
"$tmp/program"
if command -v g++ >/dev/null; then
    # shellcheck disable=SC2046
    g++ -x c++ -o "$tmp/program" "$tmp/program.c" -x none $(pkg-config --cflags --libs verge)
    "$tmp/program"
fi
# What else a user finds. The program and its pages come with the option `app`.
bin=$(find "$tmp" -type f -name verge -path '*/bin/*')
if [ -n "$bin" ]; then
    "$bin" --version
    for f in man/man1/verge.1 bash-completion/completions/verge.bash zsh/site-functions/_verge; do
        found=$(find "$tmp" -path "*/share/$f")
        if [ "$f" = man/man1/verge.1 ] && ! command -v scdoc >/dev/null; then continue; fi
        [ -s "$found" ] || { echo "not installed or empty: $f"; exit 1; }
    done
fi
