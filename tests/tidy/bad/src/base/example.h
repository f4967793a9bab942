/* example.h: a header without an example, and
 * this comment does not make up for it. */
int example(void);
