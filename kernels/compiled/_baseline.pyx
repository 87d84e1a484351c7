# The compiled book at level baseline.
include "book.pxi"
