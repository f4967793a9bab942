/* os_int.h: what the files os_*.c share.
 *
 *     char text[64];
 *     if (os_read_text("/sys/devices/system/cpu/online", text, sizeof text)) parse(text);
 */
#ifndef VG_OS_INT_H
#define VG_OS_INT_H

#include "base/base.h"

/* The first cap - 1 bytes of a file, as text. False when it cannot be read or is empty. */
bool os_read_text(const char *path, char *text, size_t cap);
#endif
