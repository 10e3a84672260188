// Row operations for avx512f.
#define NAME avx512f
#define LANES 16
#include "rows.inl"
#include "classes.inl"
