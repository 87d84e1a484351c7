/* Walking a row vector by vector, the last one in part; included where a chapter begins, undone by lanes_end.h. */
#define LOAD(p, i, n) ((n) - (i) >= W ? F(load)((p) + (i)) : F(load_part)((p) + (i), (n) - (i)))
#define STORE(p, i, n, v)                                                                                                      \
    do {                                                                                                                       \
        if ((n) - (i) >= W) F(store)((p) + (i), v);                                                                            \
        else F(store_part)((p) + (i), v, (n) - (i));                                                                           \
    } while (0)
#define EACH(i, n) for (ptrdiff_t i = 0; i < (n); i += W)
