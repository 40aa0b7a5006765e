// Options of jemalloc in every program that links it (millrace_allocator); MALLOC_CONF in the environment overrides
// them. Few threads allocate at the same time, so two arenas are enough, and free memory goes back to the system after
// one second instead of ten. Both keep the peak of memory near what is in use (tests/bench/run memory).
extern "C" {
// The name and type that jemalloc expects.
extern const char* malloc_conf;
const char* malloc_conf = "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0";
}
