// What jemalloc is told at its start, in every program that links it (millrace_allocator); the environment's
// MALLOC_CONF overrides it. Few threads allocate at once, so few arenas do; and what is free goes back to the system
// after a second instead of ten. Both keep the peak of memory near what is used (tests/bench/run memory).
extern "C" {
// jemalloc's name for it, and its type.
extern const char* malloc_conf;
const char* malloc_conf = "narenas:2,dirty_decay_ms:1000,muzzy_decay_ms:0";
}
