/* Too short. */
int few(void);
