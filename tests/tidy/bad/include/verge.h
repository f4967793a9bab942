/* sample.h: a sample for the test of the checker.
 *
 *     sample(1);
 */
#define VG_NODISCARD __attribute__((warn_unused_result))
#ifdef __cplusplus
extern "C" {
#endif
int f(void) __attribute__((pure));
typedef enum vg_status { A, B } vg_status;
int g(void);
#ifdef __cplusplus
}
#endif
