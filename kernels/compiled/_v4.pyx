# The compiled book at level v4.
include "book.pxi"
