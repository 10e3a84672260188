// Row operations for avx512f.
#define NAME avx512f
#include "rows.inl"
