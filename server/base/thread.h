// What the kernel is told of a thread.
#pragma once

namespace millrace {

// The calling thread's name in `top -H` and debuggers: up to 15 bytes.
void NameThread(const char* name);

}  // namespace millrace
