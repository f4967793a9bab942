/* The head of an image: any bytes against the head that a model calls for. What is taken must be
 * that model's in all that decides where weights lie. The first byte of the input chooses whether
 * the rest is sealed first, so that the fuzzer passes the hash. */
#include "fuzz.h"
#include "model/image_int.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const image_head want = {.layout = 1, .matrices = 2, .n_bytes = 4096, .model_bytes = 8192};
    image_head head, found;
    vg_err err;
    if (n == 0) return 0;
    bool sealed = data[0] & 1;
    uint8_t *copy = fuzz_aligned(data + 1, n - 1);
    if (sealed && n - 1 >= sizeof head) {
        memcpy(&head, copy, sizeof head);
        image_seal(&head);
        memcpy(copy, &head, sizeof head);
    }
    if (image_check_head(copy, n - 1, &want, &found, &err) == VG_OK &&
        (found.layout != want.layout || found.matrices != want.matrices ||
         found.n_bytes != want.n_bytes || found.model_bytes != want.model_bytes))
        abort();
    free(copy);
    return 0;
}
