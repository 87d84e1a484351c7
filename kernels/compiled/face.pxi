# --- faces: what Python calls. One class for all kernels; a signature is data (contract.Spec), so no kernel has a wrapper of its own.
#
# The checks that pass are made here in C; when one fails, contract.check is asked for the error, so the wording is the same in all books.

cdef enum:
    REAL_TYPE
    INT_TYPE
    F64_TYPE
    ANY_TYPE

cdef enum:  # letters of a signature; below LETTERS they index args.dim
    LETTER_N
    LETTER_I
    LETTER_O
    LETTER_M
    LETTERS
    LETTER_L
    LETTER_Q
    LETTER_STAR
    LETTER_ANY  # B, K: no room in args.dim; a check of the values compares it with the others
    LETTER_NUMBER  # + the number

_LETTERS = {"N": LETTER_N, "P": LETTER_N, "I": LETTER_I, "O": LETTER_O, "C": LETTER_O, "M": LETTER_M, "V": LETTER_M, "K": LETTER_ANY,
            "L": LETTER_L, "Q": LETTER_Q, "*": LETTER_STAR, "B": LETTER_ANY}
_TYPES = {"real": REAL_TYPE, "int": INT_TYPE, "f64": F64_TYPE, "any": ANY_TYPE}
_OVER = {"rows": VV_ROWS, "outputs": VV_OUTPUTS, "flat": VV_FLAT, "all": VV_ALL}

cdef struct Array:
    int type
    int written
    int optional
    int ndim
    int letters[3]


cdef inline Py_ssize_t lanes_of(int real_type) noexcept nogil:
    return PANEL_f32 if real_type == 0 else PANEL_f64


cdef inline Py_ssize_t units_of(int over, const int64_t* dim) noexcept nogil:
    if over == VV_OUTPUTS:
        return dim[2]
    return 1 if over == VV_ALL else dim[0]


cdef class Kernel:
    """A compiled kernel. Its signature is the reference's; `spec` holds it as data."""
    cdef readonly object spec
    cdef readonly object plain
    cdef readonly str __name__
    cdef readonly str __doc__
    cdef object bind
    cdef vv_entry entry
    cdef int over
    cdef int n_arrays
    cdef int n_scalars
    cdef int checked  # a value check beyond the signature
    cdef int labels   # it is about this array of classes 0..C-1 (or -1), which is looked at here first
    cdef int activation  # it is about an activation, whose default passes
    cdef Array arrays[8]
    cdef double defaults[16]

    @property
    def __signature__(self):
        import inspect
        return inspect.signature(reference.KERNELS[self.__name__].plain)

    def __repr__(self):
        return f"<kernel {self.__name__}, level {LEVEL}>"

    def __call__(self, *args, **kwargs):
        cdef vv_args a
        cdef Py_ssize_t units
        if kwargs:
            args = self.bind(args, kwargs)
        memset(&a, 0, sizeof(vv_args))
        if not self.arrays_fit(args, &a):
            self.refuse(args)
        self.scalars_from(args, &a)
        if self.checked and not self.passes(len(args), &a):
            self.spec.also(*args)
        units = units_of(self.over, a.dim)
        with nogil:
            self.entry(&a, 0, units)

    cdef bint passes(self, Py_ssize_t given, vv_args* a):
        """Whether the value check surely passes: an activation left out, or classes in their range."""
        if self.labels >= 0:
            return a.dim[2] > 0 and labels_fit(<const int64_t*>a.buf[self.labels], a.dim[0], a.dim[2])
        return self.activation and given <= self.n_arrays

    cdef refuse(self, tuple args):
        contract.check(self.spec, self.bind(args, {}))
        raise TypeError(f"{self.__name__}: these arguments do not fit its signature")

    cdef bint arrays_fit(self, tuple args, vv_args* a) except -1:
        cdef int i, typenum, floating = -1, filled = 0
        cdef cnp.ndarray x
        cdef cnp.ndarray star = None
        cdef Array* want
        if len(args) < self.n_arrays or len(args) > self.n_arrays + self.n_scalars:
            if len(args) > self.n_arrays + self.n_scalars or self.missing_required(len(args)):
                return False
        for i in range(self.n_arrays):
            want = &self.arrays[i]
            obj = args[i] if i < len(args) else None
            if obj is None:
                if not want.optional:
                    return False
                continue
            if not isinstance(obj, cnp.ndarray):
                return False
            x = <cnp.ndarray>obj
            typenum = cnp.PyArray_TYPE(x)
            if not cnp.PyArray_CHKFLAGS(x, cnp.NPY_ARRAY_CARRAY if want.written else cnp.NPY_ARRAY_CARRAY_RO):
                return False
            if not cnp.PyArray_ISNOTSWAPPED(x):
                return False
            if want.type == INT_TYPE:
                if typenum != cnp.NPY_INT64:
                    return False
            elif want.type == F64_TYPE:
                if typenum != cnp.NPY_FLOAT64:
                    return False
            elif typenum != cnp.NPY_FLOAT32 and typenum != cnp.NPY_FLOAT64:
                return False
            elif want.type == ANY_TYPE:
                a.source = typenum == cnp.NPY_FLOAT64
            else:
                if floating >= 0 and floating != typenum:
                    return False
                floating = typenum
                a.real = typenum == cnp.NPY_FLOAT64
            if want.letters[0] == LETTER_STAR:
                if star is None:
                    star = x
                    a.dim[0] = x.shape[0] if x.ndim > 0 else 1
                    a.dim[1] = cnp.PyArray_SIZE(x) // a.dim[0] if a.dim[0] > 0 else 0
                elif not same_shape(star, x):
                    return False
            elif not self.shape_fits(want, x, a, &filled):
                return False
            a.buf[i] = cnp.PyArray_DATA(x)
        return True

    cdef bint missing_required(self, Py_ssize_t given):
        cdef int i
        for i in range(given, self.n_arrays):
            if not self.arrays[i].optional or self.spec.arrays[i].role != "scratch":
                return True
        return False

    cdef bint shape_fits(self, Array* want, cnp.ndarray x, vv_args* a, int* filled):
        cdef int d, letter
        cdef Py_ssize_t size, expected
        if x.ndim != want.ndim:
            return False
        for d in range(want.ndim):
            letter = want.letters[d]
            size = x.shape[d]
            if letter < LETTERS:
                if not filled[0] & (1 << letter):
                    filled[0] |= 1 << letter
                    a.dim[letter] = size
                    continue
                expected = a.dim[letter]
            elif letter == LETTER_ANY:
                continue
            elif letter == LETTER_L:
                expected = lanes_of(a.real)
            elif letter == LETTER_Q:
                expected = (a.dim[2] + lanes_of(a.real) - 1) // lanes_of(a.real)
            else:
                expected = letter - LETTER_NUMBER
            if size != expected:
                return False
        return True

    cdef scalars_from(self, tuple args, vv_args* a):
        cdef int i
        for i in range(self.n_scalars):
            if self.n_arrays + i < len(args):
                value = args[self.n_arrays + i]
                if isinstance(value, str):
                    if value not in contract.ACTIVATIONS:
                        self.refuse(args)
                    value = contract.ACTIVATIONS.index(value)
                if isinstance(value, int):
                    a.k[i] = <int64_t>(<uint64_t>(value & 0xFFFFFFFFFFFFFFFF))
                    a.s[i] = <double>value
                else:
                    a.s[i] = value
                    a.k[i] = <int64_t>a.s[i]
            else:
                a.s[i] = self.defaults[i]
                a.k[i] = <int64_t>self.defaults[i]


cdef bint same_shape(cnp.ndarray a, cnp.ndarray b):
    cdef int d
    if a.ndim != b.ndim:
        return False
    for d in range(a.ndim):
        if a.shape[d] != b.shape[d]:
            return False
    return True


FACES = {}
OPS = {name: index for index, name in enumerate(reference.KERNELS)}
cdef vv_entry ENTRIES[256]


cdef define(str name, vv_entry entry):
    """Give the kernel `name` of the reference its compiled entry and its face."""
    cdef Kernel face = Kernel()
    cdef int i, d
    function = reference.KERNELS[name]
    spec = function.spec
    face.spec, face.plain, face.__name__, face.__doc__ = spec, face, name, function.__doc__
    face.bind = contract.Binder(function.plain)
    face.entry, face.over = entry, _OVER[spec.over]
    face.n_arrays, face.n_scalars = len(spec.arrays), len(spec.scalars)
    face.checked = spec.also is not None
    face.activation = any(scalar == "activation" for scalar, _ in spec.scalars)
    face.labels = next((i for i, a in enumerate(spec.arrays) if a.type == "int" and a.role == "in" and "C" in spec.arrays[0].dims), -1)
    for i, array in enumerate(spec.arrays):
        face.arrays[i].type = _TYPES[array.type]
        face.arrays[i].written = array.role in ("out", "inout")
        face.arrays[i].optional = array.optional
        face.arrays[i].ndim = len(array.dims)
        for d, letter in enumerate(array.dims):
            face.arrays[i].letters[d] = LETTER_NUMBER + int(letter) if letter.isdigit() else _LETTERS[letter]
    for i, (_, default) in enumerate(spec.scalars):
        face.defaults[i] = contract.ACTIVATIONS.index(default) if isinstance(default, str) else float(default or 0)
    ENTRIES[<int>OPS[name]] = entry
    FACES[name] = face
