// Row operations for neon.
#define NAME neon
#include "rows.inl"
