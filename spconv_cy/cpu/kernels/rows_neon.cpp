// Row operations for neon.
#define NAME neon
#define LANES 4
#include "rows.inl"
#include "classes.inl"
