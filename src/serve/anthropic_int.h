/* anthropic_int.h: the asking half of Anthropic's dialect, whose answering half has its own file.
 *
 *     VG_TRY(vg_anthropic_parse(r, "/v1/messages", body, err));
 */
#ifndef VG_ANTHROPIC_INT_H
#define VG_ANTHROPIC_INT_H

#include "serve/anthropic.h"

VG_NODISCARD vg_status vg_anthropic_parse(vg_request *r, const char *route, const vg_json *body,
                                          vg_err *err);
#endif
