/* A sample that breaks a rule of docs/STYLE.md, for the test of the checker. What must be found in
 * it stands in the file `expected`.
 * It is never compiled. */
#include "base/base.h"

	/* a tab */
int trailing(void); 
/* ------------------------------------------- more than a hundred columns ---------------------------- */
/* ééééééééééééééééééééééééééééééé a hundred columns are counted in characters, not bytes éééééé */
int last(void);
