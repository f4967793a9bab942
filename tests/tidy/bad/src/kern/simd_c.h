/* sample.h: a sample for the test of the checker.
 *
 *     sample(1);
 */
#define FN static inline __attribute__((always_inline))
