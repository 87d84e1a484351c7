/* W rows of W lanes transposed in registers, for one type: in step s, lanes whose bit s differs from the row's change places. */
INLINE void F(exchange)(VEC r[W], const int s) {
    F(int) low, high;
    for (int j = 0; j < W; j++) {
        low[j] = j & s ? W + j - s : j;
        high[j] = j & s ? W + j : j + s;
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; i++)
        if (!(i & s)) {
            VEC a = r[i], b = r[i + s];
            r[i] = __builtin_shuffle(a, b, low);
            r[i + s] = __builtin_shuffle(a, b, high);
        }
}
INLINE void F(transpose)(VEC r[W]) { /* steps written out: as a loop the masks would not be constants */
    F(exchange)(r, 1);
    if (W > 2) F(exchange)(r, 2);
    if (W > 4) F(exchange)(r, 4);
    if (W > 8) F(exchange)(r, 8);
}
