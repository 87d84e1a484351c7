#undef LOAD
#undef STORE
#undef EACH
