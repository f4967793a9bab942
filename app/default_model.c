/* What default_model.S put into the program: its model, and the devices of `verge plan`. A size is
 * the distance of two symbols, computed on integers, because a difference of pointers into two
 * arrays is undefined. It opens nothing; that is done by whoever asks. */
#include "app/default_model.h"

#include <stdint.h>

extern const uint8_t verge_default_model_begin[], verge_default_model_end[];
extern const char verge_targets_begin[], verge_targets_end[];

const void *default_model(void)
{
    return verge_default_model_begin;
}

size_t default_model_bytes(void)
{
    return (size_t)((uintptr_t)verge_default_model_end - (uintptr_t)verge_default_model_begin);
}

vg_str targets_text(void)
{
    size_t n = (size_t)((uintptr_t)verge_targets_end - (uintptr_t)verge_targets_begin);
    return (vg_str){verge_targets_begin, n};
}
