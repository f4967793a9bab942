/* A sample that breaks a rule of docs/STYLE.md, for the test of the checker. What must be found in
 * it stands in the file `expected`.
 * It is never compiled. */
#include <stdio.h>
#include "model/model.h"
#include "kern/tensor.h"
#include "base/json.h"
#include "model/jinja_int.h"
#include "kern/kern_int.h"
#include "device/device.h"
#include "infer/session.h"
#include "model.h"
#include "model/gguf.c"
