/* Optimizer updates of elements lo..hi, for one type (T, REAL as in rowwise.h, whose macros this uses). Arrays stand in a->buf and scalars
   in a->s in the order of the reference's signatures; hyperparameters are rounded to the type once. */

/* what makes the direction d of a gradient: kernels/reference/optimizers.py, `_direction` */
typedef struct { REAL decay, l1, clip; int maximize; } F(terms);

INLINE VEC F(sign)(VEC x) { return F(select)(x > 0, F(all)(1), F(select)(x < 0, F(all)(-1), x)); } /* NaN stays */
INLINE VEC F(larger)(VEC a, VEC b) { return F(select)((b > a) | (b != b), b, a); }
INLINE VEC F(direction)(VEC d, VEC w, F(terms) t) {
    if (t.clip > 0) {
        const VEC c = F(all)(t.clip);
        d = F(at_most)(c, F(at_least)(-c, d));
    }
    if (t.maximize) d = -d;
    if (t.decay != 0) d += F(all)(t.decay) * w;
    if (t.l1 != 0) d += F(all)(t.l1) * F(sign)(w);
    return d;
}

/* the scalars l1, maximize, clip that end every signature, from place k */
#define TERMS(decay, place)                                                                                                    \
    (F(terms)){(REAL)(decay), (REAL)a->s[place], (REAL)a->s[(place) + 2], a->k[(place) + 1] != 0}
#define ARRAY(name, k) REAL *name = a->buf[k] ? (REAL *)a->buf[k] + lo : NULL
#define UPDATE(NAME) static void F(NAME##_update)(vv_args *a, ptrdiff_t lo, ptrdiff_t hi)
#define SCALAR(k) F(all)((REAL)a->s[k])
#define REST(k) F(all)((REAL)(1 - a->s[k]))
#define BEGIN                                                                                                                  \
    const REAL *g = (const REAL *)a->buf[0] + lo;                                                                              \
    ARRAY(p, 1);                                                                                                               \
    const ptrdiff_t n = hi - lo

UPDATE(sgd) {
    BEGIN;
    ARRAY(m, 2);
    const VEC lr = SCALAR(0), mu = SCALAR(1), take = REST(2);
    const F(terms) t = TERMS(a->s[3], 6);
    const int momentum = a->s[1] != 0, nesterov = a->k[4] != 0, first = a->k[5] != 0;
    EACH(i, n) {
        VEC w = LOAD(p, i, n), d = F(direction)(LOAD(g, i, n), w, t);
        if (momentum) {
            VEC v = first ? d : F(flushed)(mu * LOAD(m, i, n) + take * d);
            STORE(m, i, n, v);
            d = nesterov ? d + mu * v : v;
        }
        STORE(p, i, n, w - lr * d);
    }
}

UPDATE(adagrad) {
    BEGIN;
    ARRAY(v, 2);
    const VEC lr = SCALAR(0), eps = SCALAR(1), initial = SCALAR(2);
    const F(terms) t = TERMS(a->s[3], 5);
    const int first = a->k[4] != 0;
    EACH(i, n) {
        VEC w = LOAD(p, i, n), d = F(direction)(LOAD(g, i, n), w, t), s = (first ? initial : LOAD(v, i, n)) + d * d;
        STORE(v, i, n, s);
        STORE(p, i, n, w - lr * (d / (F(sqrt)(s) + eps)));
    }
}

UPDATE(adadelta) {
    BEGIN;
    ARRAY(v, 2);
    ARRAY(u, 3);
    const VEC lr = SCALAR(0), keep = SCALAR(1), share = REST(1), eps = SCALAR(2);
    const F(terms) t = TERMS(a->s[3], 4);
    EACH(i, n) {
        VEC w = LOAD(p, i, n), d = F(direction)(LOAD(g, i, n), w, t), before = LOAD(u, i, n);
        VEC s = F(flushed)(keep * LOAD(v, i, n) + share * d * d);
        VEC e = F(sqrt)(before + eps) / F(sqrt)(s + eps) * d;
        STORE(v, i, n, s);
        STORE(u, i, n, F(flushed)(keep * before + share * e * e));
        STORE(p, i, n, w - lr * e);
    }
}

UPDATE(rmsprop) {
    BEGIN;
    ARRAY(v, 2);
    ARRAY(m, 3);
    ARRAY(b, 4);
    const VEC lr = SCALAR(0), keep = SCALAR(1), share = REST(1), eps = SCALAR(2), mu = SCALAR(4), zero = F(all)(0);
    const F(terms) t = TERMS(a->s[3], 5);
    const int momentum = a->s[4] != 0;
    EACH(i, n) {
        VEC w = LOAD(p, i, n), d = F(direction)(LOAD(g, i, n), w, t), s = F(flushed)(keep * LOAD(v, i, n) + share * d * d);
        STORE(v, i, n, s);
        if (m) {
            VEC mean = F(flushed)(keep * LOAD(m, i, n) + share * d);
            STORE(m, i, n, mean);
            s = F(larger)(zero, s - mean * mean);
        }
        VEC e = d / (F(sqrt)(s) + eps);
        if (momentum) {
            e = F(flushed)(mu * LOAD(b, i, n) + e);
            STORE(b, i, n, e);
        }
        STORE(p, i, n, w - lr * e);
    }
}

UPDATE(rprop) {
    BEGIN;
    ARRAY(m, 2);
    ARRAY(v, 3);
    const VEC lr = SCALAR(0), less = SCALAR(1), more = SCALAR(2), low = SCALAR(3), high = SCALAR(4), zero = F(all)(0), one = F(all)(1);
    const F(terms) t = TERMS(0, 6);
    const int first = a->k[5] != 0;
    EACH(i, n) {
        VEC w = LOAD(p, i, n), d = F(direction)(LOAD(g, i, n), w, t);
        VEC turn = first ? zero : F(sign)(d) * F(sign)(LOAD(m, i, n)), size = first ? lr : LOAD(v, i, n);
        size *= F(select)(turn > 0, more, F(select)(turn < 0, less, one));
        size = F(at_least)(low, F(at_most)(high, size));
        d = F(select)(turn < 0, zero, d);
        STORE(v, i, n, size);
        STORE(m, i, n, d);
        STORE(p, i, n, w - F(sign)(d) * size);
    }
}

/* Adam and AdamW as data: everything that one vector of parameters needs. shrink is 1 - lr weight_decay (AdamW) or 1; decay the coupled
   weight decay. `plain`: the gradient is the direction, and nothing else is done; asked once instead of term by term. */
typedef struct { REAL keep, b1, r1, b2, r2, eps, lr, root, *p, *m, *v, *top; F(terms) t; int plain; } F(adam_step);
INLINE F(adam_step) F(adam_step_of)(const vv_args *a, double shrink, double decay) {
    const F(terms) t = TERMS(decay, 7);
    return (F(adam_step)){(REAL)shrink, (REAL)a->s[1], (REAL)(1 - a->s[1]), (REAL)a->s[2], (REAL)(1 - a->s[2]), (REAL)a->s[3],
                          (REAL)(a->s[0] / a->s[5]), (REAL)(1 / sqrt(a->s[6])), a->buf[1], a->buf[2], a->buf[3], a->buf[4], t,
                          shrink == 1 && !a->buf[4] && !(t.clip > 0) && !t.maximize && t.decay == 0 && t.l1 == 0};
}
/* -a / b for b between 2^-120 and 2^120, to two units in the last place; b is 1e-19 at least, or Adam's eps. One unit of a core takes square
   roots and quotients, and an update waits for both: a quotient by multiply-adds is made meanwhile (4,096 parameters: 1.5 us and 0.96).
   -1/b begins as the number whose bits are a constant less those of b, 5% off; one step of Newton's leaves 0.26%, one of Halley's 2e-8. In
   float64, where more steps are needed, it does not pay. */
INLINE VEC F(minus_quotient)(VEC a, VEC b) {
    if (sizeof(REAL) == 8) return -(a / b);
    const VEC one = F(all)(1);
    VEC y = (VEC)(0xfef31000u - (F(bits))b);
    VEC e = F(fma)(b, y, one);
    y = F(fma)(y, e, y);
    e = F(fma)(b, y, one);
    return a * F(fma_unless_infinite)(b, F(fma)(e, e, e), y);
}
/* elements i..n, at most a vector of them. Products are added without rounding, which takes 4 instructions fewer of 21. */
INLINE void F(adam_at)(const F(adam_step) *s, const int plain, VEC g, ptrdiff_t i, ptrdiff_t n) {
    VEC w = LOAD(s->p, i, n), d = g;
    if (!plain) {
        w *= F(all)(s->keep);
        d = F(direction)(g, w, s->t);
    }
    VEC mean = F(flushed)(F(fma)(F(all)(s->b1), LOAD(s->m, i, n), F(all)(s->r1) * d));
    VEC square = F(flushed)(F(fma)(F(all)(s->b2), LOAD(s->v, i, n), F(all)(s->r2) * d * d));
    STORE(s->m, i, n, mean);
    STORE(s->v, i, n, square);
    if (!plain && s->top) {
        square = F(larger)(LOAD(s->top, i, n), square);
        STORE(s->top, i, n, square);
    }
    STORE(s->p, i, n, F(fma)(F(all)(s->lr), F(minus_quotient)(mean, F(fma)(F(sqrt)(square), F(all)(s->root), F(all)(s->eps))), w));
}
/* `lines` runs of n elements, the first at element `first`, `apart` from one to the next; their gradients follow each other at g. What is the
   same for all is computed once: for runs of 64 elements it takes as long as two of their vectors. */
static void F(adam)(const F(adam_step) s, const REAL *g, ptrdiff_t first, ptrdiff_t n, ptrdiff_t lines, ptrdiff_t apart) {
    for (ptrdiff_t line = 0; line < lines; line++, first += apart, g += n) {
        if (s.plain)
            for (ptrdiff_t i = 0; i < n; i += W) F(adam_at)(&s, 1, LOAD(g, i, n), first + i, first + n);
        else
            for (ptrdiff_t i = 0; i < n; i += W) F(adam_at)(&s, 0, LOAD(g, i, n), first + i, first + n);
    }
}
/* Elements lo..hi, with the sum of the gradients g and `other`; there the new weights are left. */
static void F(adam_pair)(const F(adam_step) s, const REAL *g, REAL *other, ptrdiff_t lo, ptrdiff_t hi) {
    for (ptrdiff_t i = lo; i < hi; i += W) {
        const VEC d = LOAD(g, i, hi) + LOAD(other, i, hi);
        __builtin_prefetch((const char *)(other + i) + AHEAD);
        if (s.plain) F(adam_at)(&s, 1, d, i, hi);
        else F(adam_at)(&s, 0, d, i, hi);
        STORE(other, i, hi, LOAD(s.p, i, hi));
    }
}
INLINE F(adam_step) F(adam_step_for)(const vv_args *a) { return F(adam_step_of)(a, 1, a->s[4]); }
INLINE F(adam_step) F(adamw_step_for)(const vv_args *a) { return F(adam_step_of)(a, 1 - a->s[0] * a->s[4], 0); }
UPDATE(adam) { F(adam)(F(adam_step_for)(a), (REAL *)a->buf[0] + lo, lo, hi - lo, 1, 0); }
UPDATE(adamw) { F(adam)(F(adamw_step_for)(a), (REAL *)a->buf[0] + lo, lo, hi - lo, 1, 0); }

UPDATE(adamax) {
    BEGIN;
    ARRAY(m, 2);
    ARRAY(u, 3);
    const VEC lr = F(all)((REAL)(a->s[0] / a->s[5])), b1 = SCALAR(1), r1 = REST(1), b2 = SCALAR(2), eps = SCALAR(3);
    const F(terms) t = TERMS(a->s[4], 6);
    EACH(i, n) {
        VEC w = LOAD(p, i, n), d = F(direction)(LOAD(g, i, n), w, t), mean = F(flushed)(b1 * LOAD(m, i, n) + r1 * d);
        VEC most = F(larger)(b2 * LOAD(u, i, n), F(abs)(d) + eps);
        STORE(m, i, n, mean);
        STORE(u, i, n, most);
        STORE(p, i, n, w - lr * (mean / most));
    }
}

UPDATE(nadam) {
    BEGIN;
    ARRAY(m, 2);
    ARRAY(v, 3);
    const VEC rate_d = SCALAR(0), rate_m = SCALAR(1), b1 = SCALAR(2), r1 = REST(2), b2 = SCALAR(3), r2 = REST(3), eps = SCALAR(4);
    const VEC keep = SCALAR(6), root = F(all)((REAL)(1 / sqrt(a->s[7])));
    const F(terms) t = TERMS(a->s[5], 8);
    EACH(i, n) {
        VEC w = LOAD(p, i, n) * keep, d = F(direction)(LOAD(g, i, n), w, t);
        VEC mean = F(flushed)(b1 * LOAD(m, i, n) + r1 * d), square = F(flushed)(b2 * LOAD(v, i, n) + r2 * d * d);
        STORE(m, i, n, mean);
        STORE(v, i, n, square);
        STORE(p, i, n, w - (rate_d * d + rate_m * mean) / (F(sqrt)(square) * root + eps));
    }
}

UPDATE(radam) {
    BEGIN;
    ARRAY(m, 2);
    ARRAY(v, 3);
    const VEC rate = SCALAR(0), b1 = SCALAR(1), r1 = REST(1), b2 = SCALAR(2), r2 = REST(2), eps = SCALAR(3), keep = SCALAR(5);
    const F(terms) t = TERMS(a->s[4], 7);
    const int rectified = a->k[6] != 0;
    EACH(i, n) {
        VEC w = LOAD(p, i, n) * keep, d = F(direction)(LOAD(g, i, n), w, t);
        VEC mean = F(flushed)(b1 * LOAD(m, i, n) + r1 * d), square = F(flushed)(b2 * LOAD(v, i, n) + r2 * d * d);
        STORE(m, i, n, mean);
        STORE(v, i, n, square);
        if (rectified) mean = mean / (F(sqrt)(square) + eps);
        STORE(p, i, n, w - rate * mean);
    }
}

UPDATE(lion) {
    BEGIN;
    ARRAY(m, 2);
    const VEC lr = SCALAR(0), b1 = SCALAR(1), r1 = REST(1), b2 = SCALAR(2), r2 = REST(2), keep = SCALAR(3);
    const F(terms) t = TERMS(0, 4);
    EACH(i, n) {
        VEC w = LOAD(p, i, n) * keep, d = F(direction)(LOAD(g, i, n), w, t), mean = LOAD(m, i, n);
        STORE(p, i, n, w - lr * F(sign)(b1 * mean + r1 * d));
        STORE(m, i, n, b2 * mean + r2 * d);
    }
}

UPDATE(average) {
    const REAL *p = (const REAL *)a->buf[0] + lo;
    ARRAY(average, 1);
    const ptrdiff_t n = hi - lo;
    const VEC keep = SCALAR(0), share = REST(0);
    if (a->s[0] == 0) memmove(average, p, n * sizeof(REAL));
    else EACH(i, n) STORE(average, i, n, keep * LOAD(average, i, n) + share * LOAD(p, i, n));
}

static void F(accumulate)(vv_args *a, ptrdiff_t lo, ptrdiff_t hi) {
    const REAL *g = (const REAL *)a->buf[0] + lo;
    ARRAY(total, 1);
    const ptrdiff_t n = hi - lo;
    const VEC share = SCALAR(0);
    EACH(i, n) STORE(total, i, n, LOAD(total, i, n) + share * LOAD(g, i, n));
}

static void F(limit_rows)(vv_args *a, ptrdiff_t lo, ptrdiff_t hi) {
    const ptrdiff_t n = a->dim[1];
    const REAL limit = (REAL)a->s[0];
    for (ptrdiff_t r = lo; r < hi; r++) {
        REAL *w = (REAL *)a->buf[0] + r * n;
        const REAL norm = F(sqrt)(F(all)(F(row_dot)(w, w, n)))[0];
        if (!(norm > limit)) continue;
        const VEC factor = F(all)(limit / norm);
        EACH(i, n) STORE(w, i, n, LOAD(w, i, n) * factor);
    }
}
#undef TERMS
#undef ARRAY
#undef UPDATE
#undef SCALAR
#undef REST
#undef BEGIN
