// Names of threads.
#pragma once

namespace millrace {

// Sets the name that `top -H` and debuggers show for the calling thread: at most 15 bytes, or it is not set.
void NameThread(const char* name);

}  // namespace millrace
