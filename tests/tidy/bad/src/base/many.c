/* Too
 * long
 * long
 * long
 * long
 * long
 * long
 * long
 * long
 * long
 * long
 * long
 * long
 * long
 * long
 * long
 */
