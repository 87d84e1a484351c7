"""The compiled book: one text (book.pxi), built per level as _baseline, _v3 and _v4; imported only after the CPU check."""
