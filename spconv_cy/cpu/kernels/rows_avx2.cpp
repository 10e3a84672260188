// Row operations for avx2.
#define NAME avx2
#include "rows.inl"
