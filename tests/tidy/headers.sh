#!/bin/sh
# Compiles the usage example that opens each header, after an #include of that header alone:
#
#     headers.sh ROOT CC
#
# An example is the part of the first comment that is indented by five blanks. It becomes the body
# of a function, or where that does not compile, text at file scope. What it uses without declaring
# it stands in examples.txt. The public header is also compiled as strict C17 and as C++11.
set -u
root=$1
cc=$2
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$root" || exit 2
failed=0

example_of()
{
    awk '/\*\// { last = 1 }
         /^ \*     / { sub(/^ \*     /, ""); sub(/ *\*\/$/, ""); print }
         last { exit }' "$1"
}
given_for()
{
    awk -v h="$1:" '$1 == h || $1 == "all:" { sub(/^[^:]*:/, ""); print }' tests/tidy/examples.txt
}

# The flags of headers that are for one instruction set; status 1 where this machine has another.
flags_of()
{
    case $1:$(uname -m) in
    src/kern/simd_avx2.h:x86_64) echo -mavx2 -mf16c ;;
    src/kern/simd_avx512.h:x86_64) echo -mavx2 -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl \
                                        -mavx512vnni ;;
    src/kern/simd_avx2.h:* | src/kern/simd_avx512.h:*) return 1 ;;
    src/kern/simd_neon.h:aarch64) ;;
    src/kern/simd_dotprod.h:aarch64) echo -march=armv8.2-a+dotprod ;;
    src/kern/simd_i8mm.h:aarch64) echo -march=armv8.2-a+dotprod+i8mm ;;
    src/kern/simd_neon.h:* | src/kern/simd_dotprod.h:* | src/kern/simd_i8mm.h:*) return 1 ;;
    esac
}

compile()
{
    # shellcheck disable=SC2086,SC2046 # lists of words
    $cc -std=c17 -fsyntax-only -w -D_GNU_SOURCE -Iinclude -Isrc -I. -Itests $(flags_of "$1") \
        -Werror=implicit-function-declaration -Werror=int-conversion \
        -Werror=incompatible-pointer-types "$2" 2>"$2.log"
}

for h in include/*.h src/*/*.h app/*.h bench/*.h tests/*.h tests/tidy/*.h tools/*/*.h; do
    if [ ! -f "$h" ] || ! flags_of "$h" >/dev/null; then continue; fi
    {
        echo "#include \"$root/$h\""
        echo '#include "verge.h"'
        given_for "$h"
    } >"$tmp/given.c"
    {
        cat "$tmp/given.c"
        echo "int example(void)"
        echo "{"
        echo "#line 5 \"$h\""
        example_of "$h"
        echo "return 0;"
        echo "}"
    } >"$tmp/in.c"
    {
        cat "$tmp/given.c"
        example_of "$h"
    } >"$tmp/out.c"
    if ! compile "$h" "$tmp/in.c" && ! compile "$h" "$tmp/out.c"; then
        failed=1
        echo "$h: the example does not compile:"
        cat "$tmp/in.c.log"
        echo "$h: what the example is given is declared in tests/tidy/examples.txt"
    fi
done

strict="-Wall -Wextra -pedantic-errors -Werror -fsyntax-only"
echo '#include "verge.h"' >"$tmp/verge.c"
# shellcheck disable=SC2086
$cc -std=c17 $strict -Iinclude "$tmp/verge.c" || failed=1
for cxx in g++ clang++; do
    command -v $cxx >/dev/null || continue
    # shellcheck disable=SC2086
    $cxx -x c++ -std=c++11 $strict -Iinclude "$tmp/verge.c" || failed=1
done
exit $failed
