// Row operations for portable.
#define NAME portable
#include "rows.inl"
