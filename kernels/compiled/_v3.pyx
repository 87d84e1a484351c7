# The compiled book at level v3.
include "book.pxi"
