// Row operations for avx2.
#define NAME avx2
#define LANES 8
#include "rows.inl"
#include "classes.inl"
